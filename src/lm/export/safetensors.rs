//! The safetensors format (huggingface.co/docs/safetensors): the header's length as eight little-endian bytes, a JSON
//! header, then the numbers. Tensors are written one after another without a copy of the whole.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{self, Write},
};

use candle_core::Tensor;
use serde_json::{Map, Value, json};

use super::super::{error::LmError, fast::Layout};

/// A tensor to be written.
#[derive(Debug, Clone)]
pub struct ExportTensor<'a> {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements, row-major; as many as the shape says.
    pub values: Cow<'a, [f32]>,
}

/// The tensors of a flat buffer under their Hugging Face names, without copying.
///
/// # Errors
/// When the buffer is not as long as the layout.
pub fn flat_tensors<'a>(
    layout: &Layout,
    flat: &'a [f32],
) -> Result<Vec<ExportTensor<'a>>, LmError> {
    if flat.len() != layout.len() {
        return Err(LmError::Request(format!(
            "{} numbers do not fill {} parameters",
            flat.len(),
            layout.len()
        )));
    }
    Ok(layout
        .tensors()
        .iter()
        .map(|(name, span)| ExportTensor {
            name: name.clone(),
            shape: if span.columns == 1 {
                vec![span.rows]
            } else {
                vec![span.rows, span.columns]
            },
            values: Cow::Borrowed(&flat[span.range()]),
        })
        .collect())
}

/// Weights under Hugging Face names, copied.
///
/// # Errors
/// When a tensor is not of f32 numbers.
pub fn loaded_tensors(
    weights: &HashMap<String, Tensor>,
) -> Result<Vec<ExportTensor<'static>>, LmError> {
    weights
        .iter()
        .map(|(name, tensor)| {
            Ok(ExportTensor {
                name: name.clone(),
                shape: tensor.dims().to_vec(),
                values: Cow::Owned(tensor.flatten_all()?.to_vec1::<f32>()?),
            })
        })
        .collect()
}

/// Writes a safetensors file of f32 tensors, in alphabetical order of their names.
///
/// # Errors
/// What the writer says, or when a tensor's elements do not fill its shape.
pub fn save_tensors(out: &mut dyn Write, tensors: &[ExportTensor]) -> io::Result<()> {
    let mut order: Vec<&ExportTensor> = tensors.iter().collect();
    order.sort_by(|a, b| a.name.cmp(&b.name));
    let mut header = Map::new();
    // `transformers` refuses files that do not say which framework's tensors they hold.
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut end = 0;
    for tensor in &order {
        if tensor.shape.iter().product::<usize>() != tensor.values.len() {
            return Err(io::Error::other(format!(
                "tensor {} has {} elements, which do not fill its shape {:?}",
                tensor.name,
                tensor.values.len(),
                tensor.shape
            )));
        }
        let start = end;
        end += 4 * tensor.values.len();
        header.insert(
            tensor.name.clone(),
            json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end]}),
        );
    }
    let mut header = serde_json::to_vec(&Value::Object(header))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    let mut bytes = Vec::with_capacity(1 << 16);
    for tensor in order {
        for chunk in tensor.values.chunks(1 << 14) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}
