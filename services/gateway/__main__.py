"""`python -m services.gateway`: serve stations; with a word behind it what else can be done: doctor, retranslate."""

from chassis import service
from services.gateway import doctor

DESCRIPTION = "Where charging stations connect: OCPP in, events out, answers back."


def main() -> None:
    parser = service.parser_of("gateway", DESCRIPTION)
    tasks = parser.add_subparsers(dest="task", metavar="doctor|retranslate")
    summary = "behave like a station towards any OCPP-J server, and say which check fails and what to change"
    doctor.add_arguments(tasks.add_parser("doctor", help=summary, description=summary))
    again = tasks.add_parser(
        "retranslate",
        help="run every frame of the log through today's rules, and print what they make of it that is new; sends nothing",
    )
    again.add_argument("--most", type=int, default=100, help="print at most so many differences (%(default)s)")
    options = parser.parse_args()
    if options.task == "doctor":
        raise SystemExit(doctor.main(options))
    if options.task == "retranslate":
        from services.gateway import retranslate  # noqa: PLC0415  (a gateway needs none of it)

        raise SystemExit(retranslate.main(options.most))
    from services.gateway.server import serve  # noqa: PLC0415  (nor this a gateway)

    service.launch("gateway", serve)


if __name__ == "__main__":
    main()
