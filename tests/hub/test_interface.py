"""What is handed between a face and its hub: values."""

import copy
import dataclasses
import pickle

import pytest

from heliograph.hub.interface import Ticket


def test_a_ticket_is_a_value():
    """Equal if its fields are, a key, and fit to be sent to another process."""
    ticket = Ticket(1, 2, 3)

    for other in (Ticket(1, 2, 3), copy.copy(ticket), pickle.loads(pickle.dumps(ticket))):
        assert other == ticket
        assert {ticket: "client"}[other] == "client"
    assert not hasattr(ticket, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        ticket.number = 5


@pytest.mark.parametrize("other", [Ticket(2, 2, 3), Ticket(1, 1, 3), Ticket(1, 2, 2)])
def test_tickets_of_different_clients(other):
    """They differ in one of their numbers."""
    assert other != Ticket(1, 2, 3)
