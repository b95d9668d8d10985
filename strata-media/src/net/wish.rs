//! What a receiver's consumer asks of its driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// The wish for a keyframe, and who is woken for it: the driver of one stream, or of many.
#[derive(Debug, Default)]
pub(super) struct Wish {
    keyframe: AtomicBool,
    driver: Arc<Notify>,
}

impl Wish {
    /// For a stream of this driver.
    pub(super) fn of(driver: &Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { keyframe: AtomicBool::new(false), driver: Arc::clone(driver) })
    }

    /// A keyframe is wanted.
    pub(super) fn keyframe(&self) {
        self.keyframe.store(true, Ordering::Release);
        self.driver.notify_one();
    }

    /// Whether one was wanted, since this was last asked.
    pub(super) fn take(&self) -> bool {
        self.keyframe.swap(false, Ordering::AcqRel)
    }
}
