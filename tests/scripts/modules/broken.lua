-- Fails while it loads.
error "on purpose"
