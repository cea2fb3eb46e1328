//! T1, T13, T17, T18: the home group.

use super::{peer::*, *};

fn group() -> [Life; 3] {
    [life(1, 1), life(2, 1), life(3, 1)]
}

/// Rank 0 of three with all others up, restored from its record.
fn restored() -> Peer {
    let mut peer = Peer::new(life(1, 2));
    peer.feed(Input::Restore { records: vec![Record::Home(spec(&group()))] });
    peer
}

/// One acknowledgement for both would end the other repetition. Found by the simulator.
#[test]
fn a_return_is_repeated_until_itself_is_acknowledged() {
    let mut peer = restored();
    assert!(to(&peer.up(life(2, 1)), life(2, 1)).contains(&Message::HomeBack));
    peer.up(life(3, 1));
    peer.hears(life(2, 1), Message::HomeAck);
    assert!(to(&peer.wait(ms(300)), life(2, 1)).contains(&Message::HomeBack));
    peer.hears(life(2, 1), Message::HomeBackAck);
    assert!(!to(&peer.wait(ms(300)), life(2, 1)).contains(&Message::HomeBack));
}

/// Whoever knows of the return need not have stored the job.
#[test]
fn an_acknowledged_return_does_not_stand_for_the_home_record() {
    let mut peer = restored();
    peer.up(life(2, 1));
    peer.up(life(3, 1));
    peer.hears(life(2, 1), Message::HomeBackAck);
    let put = |message: &Message| matches!(message, Message::HomePut { .. });
    assert!(to(&peer.wait(ms(300)), life(2, 1)).iter().any(put));
    peer.hears(life(2, 1), Message::HomeAck);
    assert!(!to(&peer.wait(ms(300)), life(2, 1)).iter().any(put));
}
