//! Simulated relays over real sockets on loopback, and what is needed to test against them.
//!
//! [`population`] makes a deterministic, signed, realistic population of events; [`relay`] serves
//! it over real sockets, healthy or with scripted faults; [`client`] is a small raw client;
//! [`socks`] and [`proxy`] stand between the code under test and its targets, and a [`BlackHole`]
//! answers nothing at all; [`bench`](mod@bench) is for how benchmarks start. Tests, benchmarks
//! and `bigbrotr demo` use it. Every server listens on loopback only, and every task ends when
//! its owner is stopped or dropped.

pub mod bench;
pub mod black_hole;
pub mod client;
pub mod limits;
pub mod population;
pub mod proxy;
pub mod relay;
pub mod socks;

pub use self::black_hole::BlackHole;
pub use self::client::TestClient;
pub use self::population::{EventMaker, Population, PopulationConfig, SimEvent};
pub use self::proxy::TcpProxy;
pub use self::relay::{SimRelay, SimRelayConfig};
