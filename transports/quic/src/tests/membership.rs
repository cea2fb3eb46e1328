//! Certificates of a mesh's authority: members are linked, also beyond loopback, and nobody else is.

use formic_core::transport::{Address, ConnectError, Flaw};

use super::*;
use crate::{Authority, BindError, Membership, MembershipError, tls};

const HOUR: Duration = Duration::from_secs(3_600);

fn authority(seed: u8) -> Authority {
    Authority::new(SecretKey::from_seed([seed; 32]), 24 * HOUR).unwrap()
}

fn certified(by: &Authority, number: u8) -> Config {
    let mut config = config(number, 1);
    config.membership = Some(by.admit(&secret(number).public(), HOUR).unwrap());
    config
}

async fn member(by: &Authority, number: u8) -> End {
    Quic::bind(certified(by, number)).await.unwrap()
}

/// Who refuses a dial.
#[derive(Clone, Copy)]
enum By {
    Dialer,
    Acceptor,
}

/// Both directions of a dial fail, from a and from b, no link comes of it, and both sides know why.
async fn never_link(a: &End, b: &End, (flaw, by): (Flaw, [By; 2])) {
    for (from, to, by) in [(a, b, by[0]), (b, a, by[1])] {
        let address = to.addresses().remove(0);
        let why = match by {
            By::Dialer => ConnectError::Untrusted { address: address.clone(), flaw },
            By::Acceptor => ConnectError::Refused(CloseReason::NotAdmitted(flaw)),
        };
        assert_eq!(from.connect(to.local().peer, &[address]).await, Err(why));
        while to.strangers().open > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut flaws = [0; 4];
        flaws[flaw as usize] = 1;
        assert_eq!(to.strangers().flaws, flaws);
    }
    for end in [a, b] {
        assert_eq!(end.counters().links_up, 0);
        assert_eq!((end.strangers().begun, end.strangers().failed), (1, 1));
    }
}

#[tokio::test]
async fn members_link_on_any_address() {
    let mesh = authority(50);
    let a = member(&mesh, 1).await;
    let mut open = certified(&mesh, 2);
    open.listen = "0.0.0.0:0".parse().unwrap();
    let b = Quic::<Message>::bind(open).await.unwrap();
    let port = cuts::socket(&b.addresses()[0]).port();
    let address = Address::new("quic", &format!("127.0.0.1:{port}"));
    assert_eq!(a.identify(&address).await, Ok(b.local().peer));
    let at_a = a.connect(b.local().peer, &[address]).await.unwrap();
    assert_eq!(up(&a).await, (at_a, b.local()));
    assert_eq!(up(&b).await.1, a.local());
    send(&a, at_a, Class::Data, (7, vec![1; 100])).await;
    assert_eq!(numbers(&until(&b, is_message).await, Class::Data), [7]);
}

/// An authority that was made anew from its key.
#[tokio::test]
async fn members_of_one_key_link_whenever_they_were_admitted() {
    let old = member(&authority(50), 1).await;
    let new = Authority::new(SecretKey::from_seed([50; 32]), 48 * HOUR).unwrap();
    link(&old, &member(&new, 2).await).await;
}

#[tokio::test]
async fn members_of_another_mesh_are_refused() {
    let [a, b] = [member(&authority(50), 1).await, member(&authority(51), 2).await];
    never_link(&a, &b, (Flaw::Foreign, [By::Dialer; 2])).await;
}

/// A member shows its certificate to nobody who has none, and links with nobody who has none.
#[tokio::test]
async fn keys_without_a_certificate_are_refused() {
    let [a, b] = [member(&authority(50), 1).await, peer(2, 1).await];
    never_link(&a, &b, (Flaw::Missing, [By::Acceptor; 2])).await;
}

#[tokio::test]
async fn a_certificate_that_is_over_is_refused() {
    let mesh = authority(50);
    let mut over = config(1, 1);
    over.membership = Some(mesh.admit(&secret(1).public(), Duration::ZERO).unwrap());
    // Certificates count whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let [a, b] = [Quic::bind(over).await.unwrap(), member(&mesh, 2).await];
    never_link(&a, &b, (Flaw::Expired, [By::Acceptor, By::Dialer])).await;
}

/// Certificates are no secret: without the key they prove nothing.
#[tokio::test]
async fn a_stolen_certificate_is_refused() {
    let mesh = authority(50);
    let b = member(&mesh, 2).await;
    let stolen = certified(&mesh, 1).membership.unwrap();
    let client = tls::client(tls::Proof::certified(&stolen, &secret(9)).unwrap()).unwrap();
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = cuts::socket(&b.addresses()[0]);
    if let Ok(connection) = endpoint.connect_with(client, address, tls::SERVER_NAME).unwrap().await
    {
        // A TLS 1.3 client is done before the server has judged it.
        connection.closed().await;
    }
    while b.strangers().failed == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((b.strangers().linked, b.counters().links_up), (0, 0));
    link(&member(&mesh, 1).await, &b).await;
}

#[tokio::test]
async fn certificates_that_cannot_be_are_refused() {
    let mesh = authority(50);
    let mut foreign = config(1, 1);
    foreign.membership = certified(&mesh, 2).membership;
    assert!(matches!(
        Quic::<Message>::bind(foreign).await,
        Err(BindError::WrongCertificate { .. })
    ));
    let good = certified(&mesh, 1).membership.unwrap();
    let (root, own) = (good.root().to_vec(), good.certificate().to_vec());
    assert_eq!(good.peer(), life(1, 1).peer);
    assert_eq!(Membership::new(root.clone(), own.clone()), Ok(good));
    for cut in [0, 1, 50, own.len() - 1] {
        let refused = Membership::new(root.clone(), own[..cut].to_vec());
        assert_eq!(refused, Err(MembershipError::NoCertificate("certificate")));
        let refused = Membership::new(own[..cut].to_vec(), own.clone());
        assert_eq!(refused, Err(MembershipError::NoCertificate("root")));
    }
    let longer = mesh.admit(&secret(1).public(), 25 * HOUR);
    assert_eq!(longer, Err(MembershipError::TooLong(25 * HOUR)));
    let forever = mesh.admit(&secret(1).public(), Duration::MAX);
    assert_eq!(forever, Err(MembershipError::TooLong(Duration::MAX)));
}
