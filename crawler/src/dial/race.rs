//! Happy Eyeballs ([RFC 8305]): several addresses of one name raced for the first that connects.
//!
//! [RFC 8305]: https://www.rfc-editor.org/rfc/rfc8305

use std::net::IpAddr;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::limits::{HAPPY_EYEBALLS_STAGGER, MAX_ADDRESSES};

/// Orders addresses by turns of family, IPv6 first, and keeps the first few without repeats.
pub(super) fn interleave(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
    let (mut v6, mut v4) = (Vec::new(), Vec::new());
    for ip in addresses {
        let family = if ip.is_ipv6() { &mut v6 } else { &mut v4 };
        if family.len() < MAX_ADDRESSES && !family.contains(&ip) {
            family.push(ip);
        }
    }
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut order = Vec::with_capacity(MAX_ADDRESSES);
    while order.len() < MAX_ADDRESSES {
        let before = order.len();
        order.extend(v6.next());
        order.extend(v4.next());
        if order.len() == before {
            break;
        }
    }
    order.truncate(MAX_ADDRESSES);
    order
}

/// Runs one attempt after the other, the next one starting when the last failed or after the
/// stagger. Returns the first success, or all failures in the order in which they came.
pub(super) async fn race<A, F, T, E>(
    addresses: impl IntoIterator<Item = A>,
    attempt: impl Fn(A) -> F,
) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    running.extend(waiting.next().map(&attempt));
    let mut errors = Vec::new();
    let mut more = true;
    loop {
        let start_next = tokio::select! {
            biased;
            ended = running.next() => match ended {
                Some(Ok(winner)) => return Ok(winner),
                Some(Err(error)) => {
                    errors.push(error);
                    true
                }
                None => return Err(errors),
            },
            () = tokio::time::sleep(HAPPY_EYEBALLS_STAGGER), if more => true,
        };
        if start_next && more {
            match waiting.next() {
                Some(address) => running.push(attempt(address)),
                None => more = false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn families_take_turns_and_the_list_is_bounded() {
        let ips = |text: &str| -> Vec<IpAddr> {
            text.split_whitespace()
                .map(|ip| ip.parse().unwrap())
                .collect()
        };
        assert_eq!(
            interleave(ips("192.0.2.1 192.0.2.2 192.0.2.1 2001:db8::1")),
            ips("2001:db8::1 192.0.2.1 192.0.2.2")
        );
        let many = (0..=255).map(|last| IpAddr::from([192, 0, 2, last]));
        assert_eq!(interleave(many).len(), MAX_ADDRESSES);
        assert!(interleave([]).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_address_delays_the_next_by_the_stagger_only() {
        let started = Instant::now();
        let won = race([30_000_u64, 10], |delay_ms| async move {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            Ok::<_, ()>(delay_ms)
        });
        assert_eq!(won.await, Ok(10));
        assert_eq!(
            started.elapsed(),
            HAPPY_EYEBALLS_STAGGER + Duration::from_millis(10)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_address_starts_the_next_at_once_and_every_error_is_told() {
        let started = Instant::now();
        let lost = race([1, 2, 3], |n| async move { Err::<(), _>(n) });
        assert_eq!(lost.await, Err(vec![1, 2, 3]));
        assert_eq!(started.elapsed(), Duration::ZERO);
        let none = race([0; 0], |_| async { Ok::<(), ()>(()) });
        assert_eq!(none.await, Err(Vec::new()));
    }
}
