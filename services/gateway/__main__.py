"""`python -m services.gateway`, and with a word behind it what else can be done with a gateway's rules."""

from chassis import service

DESCRIPTION = "Where charging stations connect: OCPP in, events out, answers back."


def main() -> None:
    parser = service.parser_of("gateway", DESCRIPTION)
    tasks = parser.add_subparsers(dest="task", metavar="retranslate")
    again = tasks.add_parser(
        "retranslate",
        help="run every frame of the log through today's rules, and print what they make of it that is new; sends nothing",
    )
    again.add_argument("--most", type=int, default=100, help="print at most so many differences (%(default)s)")
    options = parser.parse_args()
    if options.task == "retranslate":
        from services.gateway import retranslate  # noqa: PLC0415  (a gateway needs none of it)

        raise SystemExit(retranslate.main(options.most))
    from services.gateway.server import serve  # noqa: PLC0415  (nor this a gateway)

    service.launch("gateway", serve)


if __name__ == "__main__":
    main()
