"""Tickets of `lota` in Python: read, checked against their base, applied, taken off, written, made of two models.

    import lota_ticket

    ticket = lota_ticket.load("chat.ticket")
    with ticket.apply(model.state_dict()):       # torch tensors, or a dict of numpy arrays; changed in place
        ...                                      # the overwritten bits come back here

`docs/tickets.md` of the project says what is in a file; the bytes of the compact codec are described in
`runtime/src/ticket/codec/stream.rs`.
It needs numpy, pyroaring and safetensors, and uses torch only where the tensors are torch's.
"""

from ._file import TicketError
from ._model import Param, fingerprint, model_order, read_model
from ._ticket import Applied, Ticket, from_states, load

__all__ = [
    "Applied",
    "Param",
    "Ticket",
    "TicketError",
    "fingerprint",
    "from_states",
    "load",
    "model_order",
    "read_model",
]
