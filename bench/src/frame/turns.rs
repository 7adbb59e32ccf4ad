//! Arms take turns, in blocks of any order.

use loomgate_bench::statistics::Dice;

use super::{
    Options,
    cell::{Arm, Block, Cell, Datum},
};

/// Where arms play.
pub(crate) trait Stage {
    /// Plays one arm of the cell at this place for one block.
    async fn block(&mut self, cell: usize, arm: Arm) -> anyhow::Result<Datum>;
}

/// Plays all blocks. In each all cells are played in some order, and in each of them all arms.
/// Ends with the first wrong answer.
pub(crate) async fn take(
    stage: &mut impl Stage,
    cells: &mut [Cell],
    options: &Options,
    dice: &mut Dice,
) -> anyhow::Result<()> {
    for _ in 0..options.blocks {
        let mut order: Vec<_> = (0..cells.len()).collect();
        dice.shuffle(&mut order);
        for index in order {
            let mut arms = cells[index].arms.clone();
            dice.shuffle(&mut arms);
            let mut block = Block::default();
            for arm in arms {
                let datum = Box::pin(stage.block(index, arm)).await;
                let datum = datum
                    .map_err(|error| error.context(format!("{}, {arm}", cells[index].name)))?;
                block.0.insert(arm, datum);
            }
            cells[index].blocks.push(block);
        }
    }
    Ok(())
}
