"""Accounts' money: every movement once, payments, what is owed, and the invoices that are due."""
