"""The DICOMweb transactions, each an address of PS3.18."""
