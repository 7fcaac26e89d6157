//! Any safetensors file as tensors by name, whatever it was written for.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use crate::host::container::{Entry, Header};
use crate::{Error, Result};

/// An open safetensors file whose header was checked against its size.
pub struct TensorFile {
    path: PathBuf,
    file: File,
    header: Header,
}

impl TensorFile {
    /// Opens a file and reads its header.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let header = Header::read(&mut file, size).map_err(|refusal| refusal.at(path))?;
        Ok(Self { path: path.to_path_buf(), file, header })
    }

    /// What the header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// One of its tensors, on the CPU, in the type it is stored in. Types that tensors do not have become the next wider one
    /// that holds all their numbers: BOOL is u8, I8 is i16, U16 is i32, and U64 is i64 (a number that is too large for it is
    /// an error).
    pub fn read(&mut self, entry: &Entry) -> Result<Tensor> {
        let io = |e| Error::io(&self.path, e);
        let mut bytes = vec![0; entry.bytes() as usize];
        self.file.seek(SeekFrom::Start(entry.begin)).map_err(io)?;
        self.file.read_exact(&mut bytes).map_err(io)?;
        let shape = entry.shape.as_slice();
        let raw = |dtype| Ok(Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu)?);
        match entry.dtype.as_str() {
            "F32" => raw(DType::F32),
            "F64" => raw(DType::F64),
            "F16" => raw(DType::F16),
            "BF16" => raw(DType::BF16),
            "U8" | "BOOL" => raw(DType::U8),
            "I16" => raw(DType::I16),
            "I32" => raw(DType::I32),
            "U32" => raw(DType::U32),
            "I64" => raw(DType::I64),
            "I8" => {
                let wide: Vec<i16> = bytes.iter().map(|&b| i16::from(b as i8)).collect();
                Ok(Tensor::from_vec(wide, shape, &Device::Cpu)?)
            }
            "U16" => {
                let wide: Vec<i32> =
                    bytes.as_chunks::<2>().0.iter().map(|&b| i32::from(u16::from_le_bytes(b))).collect();
                Ok(Tensor::from_vec(wide, shape, &Device::Cpu)?)
            }
            "U64" => {
                let signed = |&b: &[u8; 8]| i64::try_from(u64::from_le_bytes(b));
                let wide: Vec<i64> =
                    bytes.as_chunks::<8>().0.iter().map(signed).collect::<Result<_, _>>().map_err(|_| {
                        Error::format(
                            &self.path,
                            format!("tensor {} holds a number past 2^63 - 1", entry.name),
                        )
                    })?;
                Ok(Tensor::from_vec(wide, shape, &Device::Cpu)?)
            }
            other => Err(Error::format(
                &self.path,
                format!("tensor {} is stored as {other}, which is not read", entry.name),
            )),
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::host::container::{self, Declared};

    #[test]
    fn every_type_is_read_or_refused_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("t.safetensors");
        let tensors: [(&str, &str, &[u8]); 8] = [
            ("bool", "BOOL", &[0, 1]),
            ("i8", "I8", &[0xff, 2]),
            ("u16", "U16", &[0xff, 0xff, 2, 0]),
            ("i64", "I64", &[0xff; 16]),
            ("bf16", "BF16", &[0x80, 0x3f, 0x00, 0xc0]),
            ("f64", "F64", &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0]),
            ("u64", "U64", &[0xff; 16]),
            ("f8", "F8_E4M3", &[0, 0]),
        ];
        let declared: Vec<Declared<'_>> = tensors
            .iter()
            .map(|(name, dtype, bytes)| Declared { name, dtype, shape: &[2], bytes: bytes.len() as u64 })
            .collect();
        let mut out = Vec::new();
        container::write::<Error>(&mut out, &path, &[("format", "pt")], &declared, |i, out| {
            out.write_all(tensors[i].2).map_err(|e| Error::io(&path, e))
        })
        .expect("writes");
        std::fs::write(&path, out).expect("writes");
        let mut file = TensorFile::open(&path).expect("opens");
        assert_eq!(file.header().metadata["format"], "pt");
        let mut numbers = |name: &str| {
            let entry = file.header().tensors.iter().find(|e| e.name == name).expect("listed").clone();
            file.read(&entry)?.to_dtype(DType::F64)?.to_vec1::<f64>().map_err(Error::from)
        };
        let expected: [(&str, [f64; 2]); 6] = [
            ("bool", [0.0, 1.0]),
            ("i8", [-1.0, 2.0]),
            ("u16", [65535.0, 2.0]),
            ("i64", [-1.0, -1.0]),
            ("bf16", [1.0, -2.0]),
            ("f64", [1.0, -2.0]),
        ];
        for (name, expected) in expected {
            assert_eq!(numbers(name).expect("reads"), expected, "{name}");
        }
        let refused = |found: Result<Vec<f64>>| found.expect_err("refused").to_string();
        assert!(refused(numbers("u64")).contains("tensor u64 holds a number past 2^63 - 1"));
        assert!(refused(numbers("f8")).contains("tensor f8 is stored as F8_E4M3, which is not read"));
    }
}
