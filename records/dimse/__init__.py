"""DICOM associations: a modality or archive stores images here, finds them and fetches them."""
