"""DICOM: headers of images, structured reports, encapsulated documents, slides (docs/reference/sources/dicom.md)."""
