"""Rendered people as training data: `bank.draw_bank` draws them, `bank.Bank` reads them."""
