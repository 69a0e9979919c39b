"""Documents with numbers: invoices and credit notes, on paper and for machines."""
