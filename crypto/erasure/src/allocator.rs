//! The system's allocator, looking at what it gets back.
#![expect(
    unsafe_code,
    reason = "a global allocator is an unsafe trait over raw memory; nothing else here is unsafe"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::{ptr, slice};

use crate::secrets::{Found, Secrets};

/// To be the `#[global_allocator]` of a test. It watches only while [`watch`] runs, and only its thread.
#[derive(Debug)]
pub struct WatchingAllocator;

/// What [`watch`] saw.
#[derive(Debug, Default)]
pub struct Findings {
    /// Secrets in freed memory, each with the stack that freed it; of many, the first few.
    pub found: Vec<(Found, String)>,
    /// How many blocks were searched.
    pub blocks: u64,
    /// The largest block that was freed with anything but zeros in it, in bytes.
    pub largest_used: usize,
}

/// Most finds reported: they tell where to look.
const MAX_FOUND: usize = 16;

struct Watch {
    secrets: Secrets,
    findings: RefCell<Findings>,
}

thread_local! {
    /// Null where nobody watches, and while a block is being searched. It needs no destructor, so that it
    /// can be asked at any time in the life of a thread.
    static WATCH: Cell<*const Watch> = const { Cell::new(ptr::null()) };
}

/// Runs `action`, searching all that it frees for `secrets`.
pub fn watch(secrets: Secrets, action: impl FnOnce()) -> Findings {
    /// Ends the watch on every way out.
    struct Ending;
    impl Drop for Ending {
        fn drop(&mut self) {
            WATCH.set(ptr::null());
        }
    }
    let watch = Watch {
        secrets,
        findings: RefCell::default(),
    };
    let ending = Ending;
    WATCH.set(&raw const watch);
    action();
    drop(ending);
    watch.findings.take()
}

impl Watch {
    fn look_at(&self, block: &[u8]) {
        let mut findings = self.findings.borrow_mut();
        findings.blocks += 1;
        if block.len() > findings.largest_used && block.iter().any(|&byte| byte != 0) {
            findings.largest_used = block.len();
        }
        if let Some(found) = self.secrets.find_in(block)
            && findings.found.len() < MAX_FOUND
        {
            let stack = Backtrace::force_capture().to_string();
            findings.found.push((found, stack));
        }
    }
}

/// Searches a block that is about to be freed, unless nobody watches or it was the search that used it.
///
/// # Safety
/// `block` is a live allocation of `layout` that this allocator made.
unsafe fn search(block: *const u8, layout: Layout) {
    let watch = WATCH.replace(ptr::null());
    // SAFETY: the pointer is null, or `watch` is running on this thread and has what it points to on its stack.
    if let Some(watching) = unsafe { watch.as_ref() } {
        // SAFETY: the block is live, and initialized: `alloc` hands out zeros.
        watching.look_at(unsafe { slice::from_raw_parts(block, layout.size()) });
        WATCH.set(watch);
    }
}

// SAFETY: everything is handed on to the system's allocator, whose promises these are.
unsafe impl GlobalAlloc for WatchingAllocator {
    /// Zeros, so that what is found in a block was written by its owner and not by the one before.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, to both.
        unsafe {
            search(block, layout);
            System.dealloc(block, layout);
        }
    }

    /// Always moves, as any reallocation may, whichever way the size changes: what is left behind is a copy.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is in range for the alignment, and the rest.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}
