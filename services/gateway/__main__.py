"""`python -m services.gateway`: serve stations; `python -m services.gateway doctor URL`: be one, and say what fails."""

from chassis import service
from services.gateway import doctor

DESCRIPTION = "Where charging stations connect: OCPP in, events out, answers back."


def main() -> None:
    parser = service.parser_of("gateway", DESCRIPTION)
    tasks = parser.add_subparsers(dest="task", metavar="doctor")
    summary = "behave like a station towards any OCPP-J server, and say which check fails and what to change"
    doctor.add_arguments(tasks.add_parser("doctor", help=summary, description=summary))
    options = parser.parse_args()
    if options.task == "doctor":
        raise SystemExit(doctor.main(options))
    from services.gateway.server import serve  # noqa: PLC0415  (a doctor needs none of it)

    service.launch("gateway", serve)


if __name__ == "__main__":
    main()
