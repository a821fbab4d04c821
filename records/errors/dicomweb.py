"""What can be wrong with a DICOMweb request."""

from accounts.errors import KnownError


class MultipartBroken(KnownError):
    """The body of a DICOMweb request isn't a whole multipart message."""

    code = "multipart_broken"
    message = "The request's body is not a whole multipart message: {detail}."
    action = "Send it again; what was stored before is kept, and sending it twice changes nothing."


class MediaTypeUnsupported(KnownError):
    """A body in a form that the store service doesn't take."""

    code = "unsupported_media_type"
    message = "This content type is not accepted."
    action = "Send {offered}."
    status = 415


class NotAcceptable(KnownError):
    """Nothing of what the client accepts can be made of what it asks for."""

    code = "not_acceptable"
    message = "What was asked for can't be sent in a form that you accept."
    action = "Accept one of: {offered}."
    status = 406


class LengthRequired(KnownError):
    """A chunked body behind a server that can't tell its end."""

    code = "length_required"
    message = "The request doesn't say how long it is, and this server can't read it in chunks."
    action = "Send a Content-Length."
    status = 411


class ParameterInvalid(KnownError):
    """A query parameter that can't be understood, or by which nothing is matched."""

    code = "invalid"
    message = "The query parameter {name} is not valid: {problem}"
    action = "Correct it and ask again; the conformance statement lists what is matched."
    pointer = "/{name}"


class NoSuchBulkData(KnownError):
    """A bulk data address that leads to no element of the object."""

    code = "no_such_bulk_data"
    message = "The object has no bulk data under this address."
    action = "Use the BulkDataURI values of the object's metadata."
    status = 404
