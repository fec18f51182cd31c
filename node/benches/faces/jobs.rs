//! Jobs over WebSocket: from a request until its result is there, and what duplicates cost.

mod customer;

use std::time::{Duration, Instant};

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::event::Event;
use bigbrotr_testkit::bench::option;
use tokio::task::JoinSet;

use self::customer::Customer;
use crate::questions::Set;
use crate::served::Faces;
use crate::timing::Timing;

/// What jobs ask, in turns: one question of each sort, with parameters that change.
const MIX: [&str; 8] = [
    "events.stats",
    "events.get id",
    "kinds.list",
    "pubkeys.get pubkey",
    "pubkeys.list",
    "relays.get url",
    "relays.kinds url",
    "relays.history checked",
];

/// The question that others have asked before.
const SAME: &str = "pubkeys.list";

/// Customers at the same time.
const CUSTOMERS: usize = 100;

/// Asks in several ways and prints a table.
pub(crate) async fn measure(faces: &Faces, sets: &[Set], clock: &SharedClock) {
    let mix: Vec<&Set> = MIX
        .iter()
        .filter_map(|title| sets.iter().find(|set| set.title == *title))
        .collect();
    assert!(!mix.is_empty(), "none of the jobs' questions is asked");
    let seconds = Duration::from_secs_f64(option("seconds", 1.0) * 8.0);
    println!("\n| jobs | p50 ms | p99 ms | a second | faces' CPU ms each |\n|---|---|---|---|---|");

    let mut one = vec![Customer::connect(&faces.relay, clock).await];
    let mut many = Vec::with_capacity(CUSTOMERS);
    for _ in 0..CUSTOMERS {
        many.push(Customer::connect(&faces.relay, clock).await);
    }
    let plans: Vec<Plan> = (0..CUSTOMERS).map(|n| Plan::mixed(&mix, n)).collect();

    let row = Row::begin("1 customer, one after the other", faces);
    let (timing, asked) = ask(&mut one, &plans, seconds, Pace::Closed).await;
    row.print(&timing);

    let row = Row::begin("the same requests, sent again", faces);
    let timing = again(&mut one[0], &asked).await;
    row.print(&timing);
    one[0].expect_silence().await;

    let rate: f64 = option("rate", 100.0);
    let name = format!("{CUSTOMERS} customers, {rate:.0} jobs a second in all");
    let row = Row::begin(&name, faces);
    let every = Duration::from_secs_f64(CUSTOMERS as f64 / rate);
    let (timing, _) = ask(&mut many, &plans, seconds, Pace::Every(every)).await;
    row.print(&timing);

    let name = format!("{CUSTOMERS} customers, each one after the other");
    let row = Row::begin(&name, faces);
    let (timing, asked) = ask(&mut many, &plans, seconds, Pace::Closed).await;
    row.print(&timing);

    let name = format!("{CUSTOMERS} customers send the same requests again");
    let row = Row::begin(&name, faces);
    let timing = all_again(&mut many, asked).await;
    row.print(&timing);
    for customer in &mut many {
        customer.expect_silence().await;
    }

    let Some(same) = sets.iter().find(|set| set.title == SAME) else {
        return;
    };
    let same: Vec<Plan> = (0..CUSTOMERS).map(|_| Plan::mixed(&[same], 0)).collect();
    let name = format!("1 customer, always `{SAME}`");
    let row = Row::begin(&name, faces);
    let (timing, _) = ask(&mut one, &same, seconds / 2, Pace::Closed).await;
    row.print(&timing);

    let name = format!("{CUSTOMERS} customers, always `{SAME}`, one customer at a time");
    let row = Row::begin(&name, faces);
    row.print(&in_turns(&mut many, &same[0], seconds / 2).await);
}

/// A line of the table.
struct Row<'a> {
    name: String,
    faces: &'a Faces,
    cpu: f64,
}

impl<'a> Row<'a> {
    fn begin(name: &str, faces: &'a Faces) -> Self {
        let (name, cpu) = (name.to_owned(), faces.cpu());
        Self { name, faces, cpu }
    }

    fn print(self, timing: &Timing) {
        let cpu = (self.faces.cpu() - self.cpu) * 1e3 / timing.len() as f64;
        println!(
            "| {} | {:.1} | {:.1} | {:.0} | {cpu:.2} |",
            self.name,
            timing.share(0.5),
            timing.share(0.99),
            timing.per_second()
        );
    }
}

/// The tags of the requests that a customer sends, in turns.
#[derive(Debug, Clone)]
struct Plan {
    tags: Vec<Vec<Vec<String>>>,
    next: usize,
}

impl Plan {
    /// A request of each set in turns, beginning with another one for each customer.
    fn mixed(sets: &[&Set], customer: usize) -> Self {
        let tags = (0..200)
            .map(|turn| {
                let set = sets[(turn + customer) % sets.len()];
                customer::tags(&set.name, set.params(turn + customer * 31))
            })
            .collect();
        Self { tags, next: 0 }
    }

    fn next(&mut self) -> Vec<Vec<String>> {
        self.next += 1;
        self.tags[(self.next - 1) % self.tags.len()].clone()
    }
}

/// When a customer sends its next request.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// When the last one is answered.
    Closed,
    /// This often; time that it is late counts as time that it waits.
    Every(Duration),
}

/// Lets all customers ask at the same time; returns the times and what each has asked.
async fn ask(
    customers: &mut Vec<Customer>,
    plans: &[Plan],
    seconds: Duration,
    pace: Pace,
) -> (Timing, Vec<Vec<Event>>) {
    let count = customers.len();
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (n, (mut customer, plan)) in std::mem::take(customers).into_iter().zip(plans).enumerate() {
        let mut plan = plan.clone();
        tasks.spawn(async move {
            let (mut timing, mut asked) = (Timing::default(), Vec::new());
            let mut due = begun;
            if let Pace::Every(every) = pace {
                due += every.mul_f64(n as f64 / count as f64);
            }
            while due.max(Instant::now()) < begun + seconds {
                let request = customer.sign(plan.next());
                if let Pace::Every(_) = pace {
                    tokio::time::sleep_until(due.into()).await;
                } else {
                    due = Instant::now();
                }
                customer.ask(&request).await;
                timing.add(due.elapsed());
                asked.push(request);
                if let Pace::Every(every) = pace {
                    due += every;
                }
            }
            (n, customer, timing, asked)
        });
    }
    let mut all = Timing::default();
    let mut done = Vec::with_capacity(count);
    while let Some(one) = tasks.join_next().await {
        let (n, customer, timing, asked) = one.expect("a customer");
        all.join(timing);
        done.push((n, customer, asked));
    }
    all.end(begun);
    done.sort_unstable_by_key(|(n, ..)| *n);
    let mut requests = Vec::with_capacity(count);
    for (_, customer, asked) in done {
        customers.push(customer);
        requests.push(asked);
    }
    (all, requests)
}

/// Sends answered requests again; the times are until the relay's OK.
async fn again(customer: &mut Customer, asked: &[Vec<Event>]) -> Timing {
    let mut timing = Timing::default();
    let begun = Instant::now();
    for request in asked.iter().flatten() {
        let at = Instant::now();
        customer.send_again(request).await;
        timing.add(at.elapsed());
    }
    timing.end(begun);
    timing
}

async fn all_again(customers: &mut Vec<Customer>, asked: Vec<Vec<Event>>) -> Timing {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (mut customer, requests) in std::mem::take(customers).into_iter().zip(asked) {
        tasks.spawn(async move {
            let timing = again(&mut customer, &[requests]).await;
            (customer, timing)
        });
    }
    let mut all = Timing::default();
    while let Some(one) = tasks.join_next().await {
        let (customer, timing) = one.expect("a customer");
        all.join(timing);
        customers.push(customer);
    }
    all.end(begun);
    all
}

/// One customer after the other asks the same.
async fn in_turns(customers: &mut [Customer], plan: &Plan, seconds: Duration) -> Timing {
    let (mut timing, mut plan) = (Timing::default(), plan.clone());
    let begun = Instant::now();
    for turn in 0.. {
        if begun.elapsed() >= seconds {
            break;
        }
        let customer = &mut customers[turn % CUSTOMERS];
        let request = customer.sign(plan.next());
        let at = Instant::now();
        customer.ask(&request).await;
        timing.add(at.elapsed());
    }
    timing.end(begun);
    timing
}
