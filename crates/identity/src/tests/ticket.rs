use formic_core::{Digest, PeerId};

use crate::{Challenge, Solver, Ticket, TicketError, WANTED, Work};

fn digest(name: &str) -> Digest {
    Digest::of(&[name.as_bytes()])
}

fn peer(byte: u8) -> PeerId {
    PeerId::from_bytes([byte; 32])
}

fn solve(electorate: &str, work: Work) -> Ticket {
    let electorate = digest(electorate);
    let mut solver = Solver::new(Challenge::new(digest("mesh"), electorate, peer(1)), work);
    loop {
        if let Some(nonce) = solver.step(1 << 16) {
            return Ticket { electorate, nonce };
        }
    }
}

#[test]
fn a_ticket_is_of_one_peer_mesh_and_two_electorates() {
    let ticket = solve("e", Work::MIN);
    let known = [(digest("f"), Work::default()), (digest("e"), Work::MIN)];
    assert_eq!(ticket.check(digest("mesh"), peer(1), &known), Ok(()));
    let unsolved = Err(TicketError::Unsolved);
    assert_eq!(ticket.check(digest("mesh"), peer(2), &known), unsolved, "stolen");
    assert_eq!(ticket.check(digest("other"), peer(1), &known), unsolved);
    assert_eq!(ticket.check(digest("mesh"), peer(1), &known[..1]), Err(TicketError::Stale));
    // Made ahead: the nonce of another electorate.
    let ahead = Ticket { electorate: digest("f"), ..ticket };
    assert_eq!(ahead.check(digest("mesh"), peer(1), &known), unsolved);
    // Work is of the electorate, not of the ticket.
    let dearer = [(digest("e"), Work::MAX)];
    assert_eq!(ticket.check(digest("mesh"), peer(1), &dearer), unsolved);
}

#[test]
fn a_ticket_is_forty_bytes() {
    let ticket = Ticket { electorate: digest("e"), nonce: 0x0102_0304_0506_0708 };
    let bytes = ticket.to_bytes();
    assert_eq!(bytes[32..], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(Ticket::from_bytes(&bytes), Ok(ticket));
    for found in [0, 39, 41] {
        let bytes = vec![0; found];
        assert_eq!(Ticket::from_bytes(&bytes), Err(TicketError::Length { found }));
    }
}

/// Steps of any size find the same nonce, and the expected number of tries is the work.
#[test]
fn solving_resumes_and_costs_what_it_says() {
    let mut sum = 0;
    for round in 0..32u8 {
        let challenge = Challenge::new(digest("mesh"), digest("e"), peer(round));
        let mut fine = Solver::new(challenge, Work::MIN);
        let nonce = loop {
            if let Some(nonce) = fine.step(997) {
                break nonce;
            }
        };
        let mut coarse = Solver::new(challenge, Work::MIN);
        assert_eq!(coarse.step(u32::try_from(nonce).unwrap()), None);
        assert_eq!((coarse.step(1), coarse.tried()), (Some(nonce), nonce + 1));
        sum += nonce + 1;
    }
    // Mean of 32 geometric variables: 5 standard deviations of 1/sqrt(32).
    let mean = sum / 32;
    assert!((65_536 / 8..65_536 * 15 / 8).contains(&mean), "{mean}");
}

#[test]
fn work_has_a_floor_and_a_ceiling() {
    assert_eq!(Work::default().tries(), 1 << 20);
    for found in [0, (1 << 16) - 1, (1 << 26) + 1, u64::MAX] {
        assert_eq!(Work::new(found), Err(TicketError::Range { found }));
    }
    assert_eq!(Work::new(1 << 16), Ok(Work::MIN));
    assert_eq!(Work::new(1 << 26), Ok(Work::MAX));
}

/// (work, admitted, next) with four wanted.
#[test]
fn work_follows_admissions() {
    let cases = [
        (1 << 20, 4, 1 << 20),
        (1 << 20, 9, 1 << 21),
        (1 << 20, 0, 1 << 18),
        (1 << 20, 1_000, 1 << 22),
        (1 << 20, u32::MAX, 1 << 22),
        (1 << 16, 0, 1 << 16),
        (1 << 26, 100, 1 << 26),
        (1 << 20, 5, 1_258_291),
    ];
    for (work, admitted, next) in cases {
        let work = Work::new(work).unwrap();
        assert_eq!(work.retarget(admitted, WANTED).tries(), next, "{work:?}, {admitted}");
    }
    // A wanted count at its limit divides by 2^32, not by zero.
    assert_eq!(Work::default().retarget(0, u32::MAX).tries(), 1 << 18);
}

/// The prefix of consensus.md: 112 bytes, hashed once; laid by hand here a second time.
#[test]
fn the_challenge_is_the_specified_hash() {
    let mut prefix = b"formic/ticket/1\0".to_vec();
    prefix.extend(digest("mesh").as_bytes());
    prefix.extend(digest("e").as_bytes());
    prefix.extend([1; 32]);
    assert_eq!(prefix.len(), 112);
    let prefix = Digest::of(&[&prefix]);
    let ticket = solve("e", Work::MIN);
    let hash = Digest::of(&[prefix.as_bytes(), &ticket.nonce.to_be_bytes()]);
    assert_eq!(hash.as_bytes()[..2], [0, 0], "four hexadecimal zeros");
}
