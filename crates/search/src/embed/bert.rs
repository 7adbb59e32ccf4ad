//! The encoder: embeddings of tokens and positions, then layers of attention and two dense steps.
//!
//! Sequences of a batch stand one behind the other in one matrix, a row a token: nothing is padded, the large
//! products are of all sequences at once, and attention looks at each alone.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, Slice, linalg::general_mat_mul};

use super::{
    ModelError,
    activation::{self, Norm},
    config::Config,
    weights::Tensors,
};

pub(super) struct Bert {
    words: Array2<f32>,
    positions: Array2<f32>,
    /// The embedding of the first kind of token; there is no second in a sentence.
    kind: Array1<f32>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    heads: usize,
}

struct Layer {
    /// Query, key and value of all heads, one below the other.
    attention: Dense,
    attention_output: Dense,
    attention_norm: LayerNorm,
    intermediate: Dense,
    output: Dense,
    output_norm: LayerNorm,
}

struct Dense {
    /// A row for each number that comes out.
    weight: Array2<f32>,
    bias: Array1<f32>,
}

struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Bert {
    pub(super) fn new(config: &Config, tensors: &Tensors<'_>) -> Result<Self, ModelError> {
        let hidden = config.hidden;
        let kinds = tensors.matrix("embeddings.token_type_embeddings.weight", 2, hidden)?;
        let layers = (0..config.layers).map(|number| Layer::new(config, tensors, number));
        Ok(Self {
            words: tensors.matrix(
                "embeddings.word_embeddings.weight",
                config.vocabulary,
                hidden,
            )?,
            positions: tensors.matrix(
                "embeddings.position_embeddings.weight",
                config.positions,
                hidden,
            )?,
            kind: kinds.row(0).to_owned(),
            norm: LayerNorm::new(config, tensors, "embeddings.LayerNorm")?,
            layers: layers.collect::<Result<_, _>>()?,
            heads: config.heads,
        })
    }

    pub(super) fn dimensions(&self) -> usize {
        self.kind.len()
    }

    /// For each sequence of token ids the mean of what the last layer makes of its tokens.
    pub(super) fn means(&self, sequences: &[&[u32]]) -> Vec<Vec<f32>> {
        let mut ranges = Vec::new();
        let mut rows = 0;
        for sequence in sequences {
            ranges.push(rows..rows + sequence.len());
            rows += sequence.len();
        }
        let mut states = self.embedded(sequences, rows);
        for layer in &self.layers {
            layer.apply(&mut states, &ranges, self.heads);
        }
        let mean = |range: &Range<usize>| {
            states
                .slice_axis(Axis(0), Slice::from(range.clone()))
                .mean_axis(Axis(0))
        };
        ranges
            .iter()
            .map(|range| mean(range).map_or_else(Vec::new, |mean| mean.to_vec()))
            .collect()
    }

    fn embedded(&self, sequences: &[&[u32]], rows: usize) -> Array2<f32> {
        let mut states = Array2::zeros((rows, self.dimensions()));
        let tokens = sequences
            .iter()
            .flat_map(|sequence| sequence.iter().enumerate());
        for ((position, &token), mut state) in tokens.zip(states.rows_mut()) {
            state += &self.words.row(token as usize);
            state += &self.positions.row(position);
        }
        let kinds = self
            .kind
            .broadcast(states.raw_dim())
            .map(|kinds| kinds.to_owned());
        self.norm.apply(&mut states, &kinds.unwrap_or_default());
        states
    }
}

impl Layer {
    fn new(config: &Config, tensors: &Tensors<'_>, number: usize) -> Result<Self, ModelError> {
        let (hidden, wide) = (config.hidden, config.intermediate);
        let name = |part: &str| format!("encoder.layer.{number}.{part}");
        let dense = |part: &str, rows, columns| Dense::new(tensors, &name(part), rows, columns);
        let norm = |part: &str| LayerNorm::new(config, tensors, &name(part));
        let parts = ["query", "key", "value"]
            .map(|part| dense(&format!("attention.self.{part}"), hidden, hidden));
        let [query, key, value] = parts;
        Ok(Self {
            attention: Dense::stacked(&[query?, key?, value?]),
            attention_output: dense("attention.output.dense", hidden, hidden)?,
            attention_norm: norm("attention.output.LayerNorm")?,
            intermediate: dense("intermediate.dense", wide, hidden)?,
            output: dense("output.dense", hidden, wide)?,
            output_norm: norm("output.LayerNorm")?,
        })
    }

    fn apply(&self, states: &mut Array2<f32>, sequences: &[Range<usize>], heads: usize) {
        let attended = attend(&self.attention.apply(states), sequences, heads);
        self.attention_norm
            .apply(states, &self.attention_output.apply(&attended));
        let mut wide = self.intermediate.apply(states);
        if let Some(numbers) = wide.as_slice_mut() {
            activation::gelu(numbers);
        }
        self.output_norm.apply(states, &self.output.apply(&wide));
    }
}

/// Attention of each token to all tokens of its sequence, head by head. `projected` has query, key and value
/// of all heads beside each other.
fn attend(projected: &Array2<f32>, sequences: &[Range<usize>], heads: usize) -> Array2<f32> {
    let hidden = projected.ncols() / 3;
    let width = hidden / heads;
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let scale = 1.0 / (width as f32).sqrt();
    let mut attended = Array2::zeros((projected.nrows(), hidden));
    for sequence in sequences {
        let tokens = projected.slice_axis(Axis(0), Slice::from(sequence.clone()));
        let mut attended = attended.slice_axis_mut(Axis(0), Slice::from(sequence.clone()));
        let mut weights = Array2::zeros((sequence.len(), sequence.len()));
        for head in 0..heads {
            let part = |of: usize| {
                let start = of * hidden + head * width;
                tokens.slice_axis(Axis(1), Slice::from(start..start + width))
            };
            general_mat_mul(scale, &part(0), &part(1).t(), 0.0, &mut weights);
            if let Some(numbers) = weights.as_slice_mut() {
                activation::softmax(numbers, sequence.len());
            }
            let columns = Slice::from(head * width..(head + 1) * width);
            let mut out = attended.slice_axis_mut(Axis(1), columns);
            general_mat_mul(1.0, &weights, &part(2), 0.0, &mut out);
        }
    }
    attended
}

impl Dense {
    fn new(
        tensors: &Tensors<'_>,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            weight: tensors.matrix(&format!("{name}.weight"), rows, columns)?,
            bias: tensors.vector(&format!("{name}.bias"), rows)?,
        })
    }

    /// One step that does what several of the same input do, their results beside each other.
    fn stacked(parts: &[Self]) -> Self {
        let rows: usize = parts.iter().map(|part| part.bias.len()).sum();
        let columns = parts.first().map_or(0, |part| part.weight.ncols());
        let mut weight = Array2::zeros((rows, columns));
        let mut bias = Array1::zeros(rows);
        let mut row = 0;
        for part in parts {
            let end = row + part.bias.len();
            let rows = Slice::from(row..end);
            weight.slice_axis_mut(Axis(0), rows).assign(&part.weight);
            bias.slice_axis_mut(Axis(0), rows).assign(&part.bias);
            row = end;
        }
        Self { weight, bias }
    }

    fn apply(&self, states: &Array2<f32>) -> Array2<f32> {
        let mut result = Array2::zeros((states.nrows(), self.bias.len()));
        for mut row in result.rows_mut() {
            row.assign(&self.bias);
        }
        let weight: ArrayView2<'_, f32> = self.weight.t();
        general_mat_mul(1.0, states, &weight, 1.0, &mut result);
        result
    }
}

impl LayerNorm {
    fn new(config: &Config, tensors: &Tensors<'_>, name: &str) -> Result<Self, ModelError> {
        Ok(Self {
            weight: tensors
                .vector(&format!("{name}.weight"), config.hidden)?
                .to_vec(),
            bias: tensors
                .vector(&format!("{name}.bias"), config.hidden)?
                .to_vec(),
            epsilon: config.epsilon,
        })
    }

    fn apply(&self, states: &mut Array2<f32>, added: &Array2<f32>) {
        let norm = Norm {
            weight: &self.weight,
            bias: &self.bias,
            epsilon: self.epsilon,
        };
        if let (Some(rows), Some(added)) = (states.as_slice_mut(), added.as_slice()) {
            activation::add_and_normalise(rows, added, &norm);
        }
    }
}
