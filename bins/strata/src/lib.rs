//! What Strata's programs show on a terminal: [`screen`], a table that is drawn over itself. The rest of this package
//! is the program `strata`.

pub mod screen;
