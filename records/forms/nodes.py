"""What is known of a DICOM node."""

from typing import Any

from django import forms

from accounts.models import Department
from records.models import DicomNode
from records.models.nodes import AE_TITLE_LENGTH, validate_ae_title, validate_network


class NetworksField(forms.CharField):
    """IP addresses and networks, separated by commas or spaces, cleaned into a list."""

    def to_python(self, value: Any) -> Any:
        """Split them."""
        text = value if isinstance(value, str) else ", ".join(value or ())
        return list(dict.fromkeys(text.replace(",", " ").split()))

    def prepare_value(self, value: Any) -> Any:
        """Show a list as text."""
        return value if isinstance(value, str) or value is None else ", ".join(value)

    def run_validators(self, value: Any) -> None:
        """Check each of them."""
        for network in value:
            validate_network(network)


class NodeForm(forms.Form):
    """A device or archive that speaks DICOM with us."""

    ae_title = forms.CharField(
        label="AE title",
        max_length=AE_TITLE_LENGTH,
        validators=[validate_ae_title],
        help_text="As it is set in the device; upper and lower case count.",
    )
    description = forms.CharField(required=False, max_length=120)
    department = forms.ModelChoiceField(
        Department.objects.all(),
        help_text="What the node stores is filed here, and it finds this department's studies.",
    )
    addresses = NetworksField(
        label="Calls from",
        help_text="IP addresses or networks, separated by commas: 10.1.2.3, 10.1.4.0/24.",
    )
    can_store = forms.BooleanField(label="May store images (C-STORE)", required=False, initial=True)
    can_query = forms.BooleanField(label="May search for studies (C-FIND)", required=False)
    can_retrieve = forms.BooleanField(label="May retrieve images (C-MOVE, C-GET)", required=False)
    host = forms.CharField(
        label="Address as a destination",
        required=False,
        max_length=253,
        help_text="Name or IP address to which C-MOVE sends images. Empty: no destination.",
    )
    port = forms.IntegerField(
        label="Port as a destination", required=False, min_value=1, max_value=65535
    )
    uses_tls = forms.BooleanField(
        label="Encrypt what is sent there (TLS)",
        required=False,
        help_text="Its certificate has to name that address.",
    )

    @classmethod
    def initial_for(cls, node: DicomNode) -> dict[str, Any]:
        """What the form shows before anybody edits it."""
        return {name: getattr(node, name) for name in cls.base_fields}

    def clean(self) -> dict[str, Any]:
        """A destination has both an address and a port."""
        host, port = self.cleaned_data.get("host"), self.cleaned_data.get("port")
        if bool(host) != bool(port) and not {"host", "port"} & set(self.errors):
            self.add_error("port" if host else "host", "A destination needs address and port.")
        return self.cleaned_data
