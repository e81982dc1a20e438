//! The reading half of a poll: the head, then every dataset's pages into staged parts.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use lake::{LakeError, file, pending};
use sqlx::types::Json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::task::AbortOnDropHandle;

use super::stage::{self, Refresh, StagedDataset, StagedPart, StagedPoll};
use super::{Poll, PollError};
use crate::source::breaker::BreakerState;
use crate::source::client::{CallError, HeadAnswer, Moved, Page};
use crate::source::page::{Layout, Parsed};
use crate::source::{Dataset, Source};

/// Rows per group of a staged file: small, so that a merge of a few days reads only their groups.
const GROUP_ROWS: usize = 16 * 1024;
/// How often a page is asked for again whose body is not what its headers announce.
const NONSENSE: u32 = 3;

/// What reading came to.
pub(super) enum Read {
    /// Nothing changed.
    Unchanged(Moved),
    /// Every page is staged.
    Staged(Staged),
}

/// A poll whose pages are all there.
pub(super) struct Staged {
    pub(super) poll: StagedPoll,
    pub(super) datasets: Vec<(StagedDataset, Vec<StagedPart>)>,
    pub(super) quarantined: u64,
    pub(super) resumed: bool,
}

/// Why a poll's pages cannot be read to the end.
enum Interruption {
    /// The source is another one, or the same one set back: everything must come again.
    Epoch,
    Failed(PollError),
}

impl<E: Into<PollError>> From<E> for Interruption {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

enum Begun {
    Unchanged(Moved),
    Poll(StagedPoll),
}

type Pages = (Vec<(StagedDataset, Vec<StagedPart>)>, u64);

impl Poll<'_> {
    /// Read everything that is new, taking up an interrupted poll where it stopped.
    pub(super) async fn read(&self) -> Result<Read, PollError> {
        let mut resumed = self.take_up().await?;
        // A source that changes its epoch in the middle of a full refresh gets one more chance.
        for refresh in [Refresh::Incremental, Refresh::Full, Refresh::Full] {
            let took_up = resumed.is_some();
            let poll = match resumed.take() {
                Some(poll) => poll,
                None => match self.begin(refresh).await? {
                    Begun::Unchanged(moved) => return Ok(Read::Unchanged(moved)),
                    Begun::Poll(poll) => poll,
                },
            };
            match self.read_pages(&poll).await {
                Ok((datasets, quarantined)) => {
                    return Ok(Read::Staged(Staged { poll, datasets, quarantined, resumed: took_up }));
                }
                Err(Interruption::Failed(error)) => return Err(error),
                Err(Interruption::Epoch) => {
                    tracing::warn!(
                        source = self.name(),
                        "the source's history is another one: reading everything again"
                    );
                    stage::discard(self.db(), self.lock, poll.poll).await?;
                }
            }
        }
        Err(failed(self.source, CallError::EpochGone))
    }

    /// The interrupted poll, if its declaration is today's and its files are all there.
    async fn take_up(&self) -> Result<Option<StagedPoll>, PollError> {
        let Some(poll) = stage::find(self.db(), self.name()).await? else { return Ok(None) };
        let mut usable = poll.declaration == self.source.declaration.shape();
        for dataset in stage::datasets(self.db(), poll.poll).await? {
            let parts = stage::parts(self.db(), poll.poll, &dataset.dataset).await?;
            usable &= stage::files(self.lake.dir(), &parts).iter().all(|it| it.is_file());
        }
        if usable {
            return Ok(Some(poll));
        }
        stage::discard(self.db(), self.lock, poll.poll).await?;
        Ok(None)
    }

    async fn begin(&self, refresh: Refresh) -> Result<Begun, PollError> {
        let declaration = &self.source.declaration;
        let sql = "SELECT etag FROM sync.source WHERE name = $1 AND declaration = $2 AND etag IS NOT NULL";
        let etag = sqlx::query_scalar(sql).bind(&declaration.name).bind(declaration.shape());
        let etag: Option<String> = etag.fetch_optional(self.db()).await?;
        let etag = etag.filter(|_| refresh == Refresh::Incremental);
        let failed = |error| failed(self.source, error);
        let head = match self.source.client.head(etag.as_deref()).await.map_err(failed)? {
            HeadAnswer::Unchanged(moved) => return Ok(Begun::Unchanged(moved)),
            HeadAnswer::Changed(head) => head,
        };
        let absent = declaration.absent(&head).map_err(|reason| failed(CallError::Unusable(reason)))?;
        if !absent.is_empty() {
            tracing::info!(source = self.name(), ?absent, "an earlier version of the source does not offer all of it");
        }
        Ok(Begun::Poll(stage::begin(self.db(), declaration, &head, &absent, refresh, self.drops).await?))
    }

    async fn read_pages(&self, poll: &StagedPoll) -> Result<Pages, Interruption> {
        let (source, mut all, mut quarantined) = (self.source, Vec::new(), 0);
        for mut staged in stage::datasets(self.db(), poll.poll).await? {
            let Some(dataset) = poll.dataset(&source.declaration, &staged.dataset) else { continue };
            let reader = DatasetReader { of: *self, poll, dataset: &dataset, layout: Arc::new(Layout::new(&dataset)) };
            let (parts, refused) = match reader.read(&staged).await {
                Err(Stop::Shape) => {
                    stage::restart_dataset(self.db(), self.lock, poll.poll, &dataset.name).await?;
                    staged.refresh = Refresh::Full;
                    reader.read(&staged).await.map_err(|it| it.interrupts(source))?
                }
                other => other.map_err(|it| it.interrupts(source))?,
            };
            quarantined += refused;
            all.push((staged, parts));
        }
        Ok((all, quarantined))
    }
}

/// Why a dataset's pages stopped coming.
enum Stop {
    Shape,
    Epoch,
    /// The page's body is not what its headers announce.
    Nonsense(String),
    Failed(PollError),
}

impl Stop {
    /// What a dataset's stop means for the poll; a second complaint about the shape ends it.
    fn interrupts(self, source: &Source) -> Interruption {
        match self {
            Self::Shape => Interruption::Failed(failed(source, CallError::ShapeGone)),
            Self::Epoch => Interruption::Epoch,
            Self::Nonsense(reason) => Interruption::Failed(failed(source, CallError::Unusable(reason))),
            Self::Failed(error) => Interruption::Failed(error),
        }
    }
}

impl<E: Into<PollError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

struct DatasetReader<'a> {
    of: Poll<'a>,
    poll: &'a StagedPoll,
    dataset: &'a Dataset,
    layout: Arc<Layout>,
}

/// A page that has been asked for; nobody waits for it any more when this is dropped.
struct Coming {
    after: Option<String>,
    /// Where it ends, once that is known and if more follows.
    ends: UnboundedReceiver<String>,
    page: AbortOnDropHandle<Result<Page, CallError>>,
}

impl DatasetReader<'_> {
    /// Read on behind the last staged part. A page is asked for as soon as the one before says where it ends, so that
    /// the source looks for the next rows while these are on their way, parsed and written.
    async fn read(&self, staged: &StagedDataset) -> Result<(Vec<StagedPart>, u64), Stop> {
        let mut parts = stage::parts(self.of.db(), self.poll.poll, &self.dataset.name).await?;
        let mut quarantined = 0;
        let after = match parts.last() {
            Some(last) if last.next_cursor.is_none() => return Ok((parts, 0)),
            Some(last) => last.next_cursor.clone(),
            None => staged.old_cursor.clone().filter(|_| staged.refresh == Refresh::Incremental),
        };
        let mut coming = self.ask(after);
        let mut nonsense = 0;
        loop {
            // An open breaker tries one call alone: then nothing is asked ahead of it.
            let ahead = coming.ends.recv().await.filter(|_| self.is_well());
            let following = ahead.map(|next| self.ask(Some(next)));
            let page = self.come(coming.page).await?;
            // Asked for twice, a page may have ended elsewhere than it said at first.
            let following = match (following, &page.next) {
                (Some(following), next) if following.after == *next => Some(following),
                (_, Some(next)) => Some(self.ask(Some(next.clone()))),
                (_, None) => None,
            };
            let number = i32::try_from(parts.len()).unwrap_or(i32::MAX);
            // One who goes there again would go in circles.
            let leads_back = page.next.is_some() && parts.iter().any(|it| it.next_cursor == page.next);
            let stored = match leads_back {
                true => Err(Stop::Nonsense("a page says that more follows where an earlier page began".to_owned())),
                false => self.store(number, coming.after.as_deref(), page).await,
            };
            match stored {
                Ok((part, refused)) => {
                    nonsense = 0;
                    parts.push(part);
                    quarantined += refused;
                }
                Err(Stop::Nonsense(reason)) if nonsense < NONSENSE => {
                    nonsense += 1;
                    tracing::warn!(source = self.of.source.declaration.name, reason, "asking for a page again");
                    self.of.source.client.breaker.failed(Instant::now());
                    coming = self.ask(coming.after);
                    continue;
                }
                Err(stop) => return Err(stop),
            }
            match following {
                Some(following) => coming = following,
                None => return Ok((parts, quarantined)),
            }
        }
    }

    fn is_well(&self) -> bool {
        self.of.source.client.breaker.state(Instant::now()) == BreakerState::Closed
    }

    fn ask(&self, after: Option<String>) -> Coming {
        let (sender, ends) = unbounded_channel();
        let (source, dataset) = (Arc::clone(self.of.source), self.dataset.clone());
        let (head, cursor) = (self.poll.head.clone(), after.clone());
        let page = async move { source.client.page(&dataset, cursor.as_deref(), &head, &sender).await };
        Coming { after, ends, page: AbortOnDropHandle::new(tokio::spawn(page)) }
    }

    async fn come(&self, page: AbortOnDropHandle<Result<Page, CallError>>) -> Result<Page, Stop> {
        match page.await? {
            Ok(page) if page.epoch == self.poll.epoch => Ok(page),
            Ok(_) | Err(CallError::EpochGone) => Err(Stop::Epoch),
            Err(CallError::ShapeGone) => Err(Stop::Shape),
            Err(error) => Err(Stop::Failed(failed(self.of.source, error))),
        }
    }

    /// Turn a page into a staged part: parse, write, note.
    async fn store(&self, part: i32, cursor: Option<&str>, page: Page) -> Result<(StagedPart, u64), Stop> {
        let (db, lake) = (self.of.db(), self.of.lake);
        let path = stage::part_path(self.poll.poll, &self.dataset.name, part);
        let (layout, full) = (Arc::clone(&self.layout), lake.dir().join(&path));
        let bytes = i64::try_from(page.body.len()).unwrap_or(i64::MAX);
        let (rows, body) = (page.rows, page.body);
        let write = move || parse_and_write(&layout, &body, rows, &full);
        let parsed = pending::write(lake, self.of.lock, vec![path.clone()], write).await?;
        let Parsed { frame, refused, days } =
            parsed.map_err(|reason| Stop::Nonsense(format!("a page of `{}`: {reason}", self.dataset.name)))?;
        let staged = StagedPart {
            part,
            path: (frame.height() > 0).then(|| path.clone()),
            rows_read: i64::try_from(rows).unwrap_or(i64::MAX),
            bytes,
            days: Json(days),
            next_cursor: page.next,
            resume_cursor: page.resume,
        };
        let origin = stage::Origin {
            source: &self.of.source.declaration.name,
            dataset: &self.dataset.name,
            poll: self.poll.poll,
            cursor,
            header: self.layout.header(),
        };
        let quarantined = stage::note(db, origin, &path, &staged, &refused).await?;
        Ok((staged, quarantined))
    }
}

/// Parse a page and write its good rows, in the order of their days. Blocks.
///
/// The inner error is the page's: it is not what was announced.
fn parse_and_write(
    layout: &Layout,
    body: &[u8],
    rows: usize,
    path: &Path,
) -> Result<Result<Parsed, String>, LakeError> {
    let mut parsed = match layout.parse(body, rows) {
        Ok(parsed) => parsed,
        Err(reason) => return Ok(Err(reason)),
    };
    if parsed.frame.height() == 0 {
        return Ok(Ok(parsed));
    }
    if parsed.days.len() > 1 {
        // Stable: of two deliveries of a key the later one must stay the later one.
        parsed.frame = file::by_day(&parsed.frame)?;
    }
    file::write_parquet(path, &mut parsed.frame, GROUP_ROWS)?;
    Ok(Ok(parsed))
}

fn failed(source: &Source, error: CallError) -> PollError {
    PollError::Source { name: source.declaration.name.clone(), source: error }
}
