//! Name servers that go away and come back, for the tests of more than one suite.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bigbrotr_crawler::dial::{Resolve, ResolveError};
use futures_util::future::BoxFuture;

/// Name servers that answer, or do not; to one name they never do. All others lead to this machine.
pub(crate) struct Names(pub(crate) Arc<AtomicBool>);

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            if !self.0.load(Ordering::SeqCst) || host.starts_with("lost") {
                return Err(ResolveError::TimedOut);
            }
            Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])
        })
    }
}
