"""Variants of samples, from VCF and BCF (VCF 4.x; docs/reference/sources/vcf.md)."""
