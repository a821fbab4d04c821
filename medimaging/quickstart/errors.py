"""What can keep the quickstart from starting, in words for whoever typed the command."""


class QuickstartError(Exception):
    """Something that the person at the terminal can put right."""

    message = "The quickstart could not start."

    def __init__(self, **context: object) -> None:
        super().__init__(self.message.format(**context))


class PortTaken(QuickstartError):
    message = (
        "Port {port} on {host} is already in use by another program.\n"
        "Choose another one: make run PORT={other}"
    )


class AddressUnusable(QuickstartError):
    message = "This machine can't serve on {host}, port {port}: {reason}\nSet HOST= or PORT=."


class AlreadyRunning(QuickstartError):
    message = (
        "A quickstart is already running on {data_dir}.\n"
        "Stop it with Ctrl-C where it runs, or set MEDIMAGING_DATA_DIR to another directory."
    )


class ServiceNotStarted(QuickstartError):
    message = "{name} could not be started: {reason}"


class ProgramsOutOfReach(QuickstartError):
    message = (
        "PostgreSQL doesn't run as root, and no other account may get to {programs}.\n"
        "A copy in {place} could not be made: {reason}\n"
        "Put the product where others may pass, such as /opt or /srv, or run it as another user."
    )


class NeverReady(QuickstartError):
    message = "The product was not ready after {seconds} s: {state}\nThe log is {log}"
