//! What all documents of the history share: how busy a day is, when in the day things happen, what is bought.

use base::Tz;
use chrono::{DateTime, Datelike, Days, NaiveDate, TimeZone, Utc};

use super::company::{Company, Product};
use super::random::Random;

/// One line of a document. Money in cents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Index of the product.
    pub(super) product: u32,
    /// Pieces, always positive here.
    pub(super) quantity: i64,
    pub(super) price: i64,
    pub(super) cost: i64,
    pub(super) discount: i64,
}

/// A sale at a till, or a return of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) reference: String,
    /// The sale that a return gives back.
    pub(super) original: Option<String>,
    /// Index of the store.
    pub(super) store: u32,
    pub(super) register: u32,
    pub(super) day: NaiveDate,
    pub(super) at: DateTime<Utc>,
    pub(super) lines: Vec<Line>,
}

/// A day as a coordinate of a random stream.
pub(super) fn number(day: NaiveDate) -> u64 {
    day.num_days_from_ce().unsigned_abs().into()
}

/// Every day of a span, both ends included.
pub(super) fn days(first: NaiveDate, last: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    first.iter_days().take_while(move |day| *day <= last)
}

/// How busy a day is, in percent of the usual: the week has its pattern, the year its seasons, December its rush.
pub(super) fn busy(day: NaiveDate, online: bool) -> u32 {
    const IN_STORE: [u32; 7] = [78, 82, 90, 98, 122, 150, 80];
    const ONLINE: [u32; 7] = [118, 108, 102, 98, 88, 84, 102];
    const MONTH: [u32; 12] = [82, 80, 92, 100, 108, 112, 104, 98, 96, 100, 118, 146];
    let weekday = day.weekday().num_days_from_monday() as usize;
    let week = if online { ONLINE[weekday] } else { IN_STORE[weekday] };
    week * MONTH[day.month0() as usize] / 100
}

/// A moment in a local day between 09:00 and 20:59, most often at noon and in the late afternoon.
pub(super) fn moment(random: &mut Random, zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    const HOURS: [u32; 20] = [9, 10, 10, 11, 11, 12, 12, 12, 13, 13, 14, 15, 16, 16, 17, 17, 17, 18, 19, 20];
    let hour = *random.pick(&HOURS);
    at(zone, day, hour, random.between(0, 59), random.between(0, 59))
}

/// A local time as an instant. No zone changes its clocks in shop hours, so the earliest reading is the only one.
pub(super) fn at(zone: Tz, day: NaiveDate, hour: u32, minute: u32, second: u32) -> DateTime<Utc> {
    let local = day.and_hms_opt(hour, minute, second).unwrap_or_default();
    zone.from_local_datetime(&local).earliest().map_or_else(|| local.and_utc(), |moment| moment.to_utc())
}

/// A basket: one to four different products, popular ones more often; some are bought together.
pub(super) fn basket(random: &mut Random, company: &Company, day: NaiveDate, sold_out: Option<u32>) -> Vec<Line> {
    let n = u32::try_from(company.products.len()).unwrap_or(u32::MAX);
    let mut lines: Vec<Line> = Vec::new();
    let wanted = *random.pick(&[1, 1, 1, 2, 2, 3, 4]);
    while lines.len() < wanted {
        let index = match lines.last() {
            // Neighbours go together: the pan with the kettle, for the basket analysis to find.
            Some(last) if random.chance(30) => (last.product ^ 1).min(n - 1),
            _ => random.popular(n),
        };
        if sold_out == Some(index) || lines.iter().any(|line| line.product == index) {
            // Nobody leaves because one thing is missing, but a range of one or two products must end the loop.
            if random.chance(25) {
                break;
            }
            continue;
        }
        lines.push(line(random, &company.products[index as usize], day));
    }
    lines
}

fn line(random: &mut Random, product: &Product, day: NaiveDate) -> Line {
    let quantity = i64::from(*random.pick(&[1, 1, 1, 1, 2, 2, 3]));
    // Prices of the year before were 4 % lower: frozen values differ from the catalogue's.
    let price = if day.year() < 2026 { product.price * 96 / 100 } else { product.price };
    let discount = if random.chance(9) { price * quantity * i64::from(*random.pick(&[5, 10, 20])) / 100 } else { 0 };
    Line { product: product.index, quantity, price, cost: product.cost, discount }
}

/// The day some days earlier.
pub(super) fn before(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_sub_days(Days::new(days)).unwrap_or(day)
}
