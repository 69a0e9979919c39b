"""How far everything is done, while some of it is not."""

from chassis.hand import Hand


def test_what_is_done_out_of_order_counts_once_all_before_it_is() -> None:
    hand = Hand()
    hand.take([3, 5], 7)
    hand.take([8], 9)
    assert hand.reached == 3
    hand.done(5)
    assert hand.reached == 3
    hand.done(3)
    assert hand.reached == 8
    hand.done(8)
    assert hand.reached == 9


def test_what_is_nobodys_business_is_behind_us() -> None:
    hand = Hand()
    hand.take([], 12)
    assert hand.reached == 12
