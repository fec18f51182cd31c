//! Simulated relays over real sockets on loopback, and what is needed to test against them.
//!
//! [`population`] makes a deterministic, signed, realistic population of events; [`relay`] serves
//! it over real sockets, healthy or with scripted faults; [`client`] is a small raw client;
//! [`socks`] and [`proxy`] stand between the code under test and its targets. Tests, benchmarks
//! and `bigbrotr demo` use it. Every server listens on 127.0.0.1 only, and every task ends when
//! its owner is stopped or dropped.

pub mod client;
pub mod limits;
pub mod population;
pub mod proxy;
pub mod relay;
pub mod socks;

pub use self::client::TestClient;
pub use self::population::{EventMaker, Population, PopulationConfig, SimEvent};
pub use self::proxy::TcpProxy;
pub use self::relay::{SimRelay, SimRelayConfig};
