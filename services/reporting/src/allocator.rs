//! The allocator of the program: it counts what a worker takes, and ends it at its bound.
//!
//! A limit of the system's on address space would fail allocations at half of it and leave a crash behind; looking at
//! the process from outside is too slow for one that grows by gigabytes a second. The service itself is not counted.

#![expect(unsafe_code, reason = "an allocator is an unsafe trait; this is the one file with unsafe code")]

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
};

use aggregator::report::OUT_OF_MEMORY;
use mimalloc::MiMalloc;

/// Bytes that a thread takes or gives back before it adds them to the count of the process.
const STEP: i64 = 256 * 1024;

thread_local! {
    /// What this thread has not added yet. Without a destructor: it may be read until the thread's very end.
    static UNREPORTED: Cell<i64> = const { Cell::new(0) };
}

/// mimalloc, counted once there is a bound.
pub struct Bounded {
    bound: AtomicUsize,
    taken: AtomicI64,
}

impl Bounded {
    /// Without a bound.
    #[must_use]
    pub const fn new() -> Self {
        Self { bound: AtomicUsize::new(usize::MAX), taken: AtomicI64::new(0) }
    }

    /// From now on the process ends, with [`OUT_OF_MEMORY`], when it would hold more bytes than so many.
    pub fn end_beyond(&self, bytes: usize) {
        self.bound.store(bytes.min(usize::MAX - 1), Ordering::Relaxed);
    }

    fn count(&self, more: usize, less: usize) {
        let bound = self.bound.load(Ordering::Relaxed);
        if bound == usize::MAX {
            return;
        }
        let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        let unreported = UNREPORTED.get().saturating_add(signed(more)).saturating_sub(signed(less));
        if unreported.abs() < STEP {
            UNREPORTED.set(unreported);
            return;
        }
        UNREPORTED.set(0);
        let taken = self.taken.fetch_add(unreported, Ordering::Relaxed).saturating_add(unreported);
        if taken > signed(bound) {
            // SAFETY: it ends the process and runs nothing of it any more, whatever its threads hold.
            unsafe { libc::_exit(OUT_OF_MEMORY) }
        }
    }
}

impl Default for Bounded {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every call is passed on as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size(), 0);
        // SAFETY: as our caller promises.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size(), 0);
        // SAFETY: as our caller promises.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.count(0, layout.size());
        // SAFETY: as our caller promises.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count(size, layout.size());
        // SAFETY: as our caller promises.
        unsafe { MiMalloc.realloc(block, layout, size) }
    }
}
