//! `--precision`: the number format of the computation.

use serde::Serialize;

/// Number format that a command computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionArg {
    /// Single precision.
    F32,
}

impl PrecisionArg {
    /// Returns the name used in `--json` and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
        }
    }
}

/// Parses `--precision`. `auto` is f32, the only precision of this version.
pub fn precision(text: &str) -> Result<PrecisionArg, String> {
    match text {
        "f32" | "auto" => Ok(PrecisionArg::F32),
        "bf16" | "int8" => Err(format!("{text} is not supported by this version; use f32 or auto")),
        _ => Err("must be f32 or auto".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_f32_and_later_precisions_are_refused_with_a_reason() {
        assert_eq!(precision("auto"), Ok(PrecisionArg::F32));
        for later in ["bf16", "int8"] {
            assert!(precision(later).is_err_and(|why| why.contains("not supported")), "{later}");
        }
        assert_eq!(precision("f23"), Err("must be f32 or auto".to_owned()));
    }
}
