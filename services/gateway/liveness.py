"""Whether a station is still there: when it is pinged, and when it is taken for dead (T-60, T-61)."""

from msgspec import Struct

from contracts.reference import Station


class Look(Struct, frozen=True):
    """What to do now, and after how many seconds to look again."""

    ping: bool
    dead: bool
    again: float


class Liveness(Struct, frozen=True):
    """How long a station may be silent. Whatever arrives of it is a sign of life, pongs included."""

    ping_every: float
    """Seconds of silence after which it is pinged; 0: never."""
    silence: float
    """After so many seconds of it the station is dead."""

    def look(self, now: float, heard: float, pinged: float) -> Look:
        """Return what follows at `now` if something was heard, and a ping sent, at these times of the same clock."""
        if now - heard >= self.silence:
            return Look(ping=False, dead=True, again=0)
        quiet_since = max(heard, pinged)
        ping = 0 < self.ping_every <= now - quiet_since
        pinged_again = (now if ping else quiet_since) + self.ping_every
        again = min(heard + self.silence, pinged_again) if self.ping_every else heard + self.silence
        return Look(ping, dead=False, again=again - now)


def liveness_of(station: Station, ping_s: float, pong_within_s: float) -> Liveness:
    """Return how a station is watched whose deployment pings so often and waits so long for a pong.

    One that is not pinged, or does not answer, is alive as long as it says something now and then.
    """
    habits = station.habits
    every = ping_s if habits.ping_s is None else habits.ping_s
    if every and habits.answers_pings:
        return Liveness(every, every + pong_within_s)
    return Liveness(every, max(3 * station.heartbeat_s, 2 * every + pong_within_s))
