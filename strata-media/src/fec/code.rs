//! The code: Reed-Solomon over GF(2^16).

use std::fmt;

use reed_solomon_simd::{Error, ReedSolomonDecoder, ReedSolomonEncoder};

/// Computes repair shards; keeps its memory.
#[derive(Default)]
pub(super) struct Coder(Option<ReedSolomonEncoder>);

impl fmt::Debug for Coder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coder")
    }
}

impl Coder {
    /// `repairs` shards for `sources`, which all have the same even length.
    pub(super) fn encode(&mut self, sources: &[Vec<u8>], repairs: usize) -> Result<Vec<Vec<u8>>, Error> {
        let len = sources.first().map_or(0, Vec::len);
        let coder = match &mut self.0 {
            Some(coder) => {
                coder.reset(sources.len(), repairs, len)?;
                coder
            }
            none => none.insert(ReedSolomonEncoder::new(sources.len(), repairs, len)?),
        };
        for source in sources {
            coder.add_original_shard(source)?;
        }
        let coded = coder.encode()?;
        Ok(coded.recovery_iter().map(<[u8]>::to_vec).collect())
    }
}

/// Gives back source shards; keeps its memory.
#[derive(Default)]
pub(super) struct Solver(Option<ReedSolomonDecoder>);

impl fmt::Debug for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Solver")
    }
}

impl Solver {
    /// The source shards that are not among `have`, by index, of a block of `sources` and `repairs` shards of `len` bytes.
    pub(super) fn solve<'a>(
        &mut self,
        (sources, repairs, len): (usize, usize, usize),
        have: impl Iterator<Item = (usize, &'a [u8])>,
        coded: impl Iterator<Item = (usize, &'a [u8])>,
    ) -> Result<Vec<(usize, Vec<u8>)>, Error> {
        let solver = match &mut self.0 {
            Some(solver) => {
                solver.reset(sources, repairs, len)?;
                solver
            }
            none => none.insert(ReedSolomonDecoder::new(sources, repairs, len)?),
        };
        for (index, shard) in have {
            solver.add_original_shard(index, shard)?;
        }
        for (index, shard) in coded {
            solver.add_recovery_shard(index, shard)?;
        }
        let solved = solver.decode()?;
        Ok(solved.restored_original_iter().map(|(index, shard)| (index, shard.to_vec())).collect())
    }
}
