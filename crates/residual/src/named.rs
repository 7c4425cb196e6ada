//! Enums by name: [`named!`](crate::named).

/// Implements [`Display`](std::fmt::Display) and [`FromStr`](std::str::FromStr) for an enum whose
/// variants have names.
///
/// The arguments are the type, what an error calls its kind, and a name for each variant. Names are
/// read in capitals or not; an unknown name is a [usage error](crate::Kind::Usage) whose hint is
/// the nearest name, or all of them.
///
/// ```
/// #[derive(Debug, PartialEq)]
/// enum Side {
///     Left,
///     Right,
/// }
/// residual::named!(Side, "side", Side::Left => "left", Side::Right => "right");
///
/// assert_eq!("Left".parse::<Side>()?, Side::Left);
/// assert_eq!(Side::Right.to_string(), "right");
/// let error = "rigth".parse::<Side>().unwrap_err();
/// assert_eq!(error.hint(), Some("did you mean \"right\"?"));
/// # Ok::<(), residual::Error>(())
/// ```
#[macro_export]
macro_rules! named {
    ($kind:ty, $what:literal, $($variant:path => $name:literal),+ $(,)?) => {
        impl ::std::fmt::Display for $kind {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(match self { $($variant => $name),+ })
            }
        }

        impl ::std::str::FromStr for $kind {
            type Err = $crate::Error;

            fn from_str(text: &str) -> $crate::Result<Self> {
                match text.to_ascii_lowercase().as_str() {
                    $($name => Ok($variant),)+
                    _ => {
                        let known = [$($name),+];
                        let error = $crate::Error::usage(format!("unknown {} \"{text}\"", $what));
                        Err(match $crate::error::nearest(text, known) {
                            Some(name) => error.with_hint(format!("did you mean \"{name}\"?")),
                            None => error.with_hint(format!("one of {}", known.join(", "))),
                        })
                    }
                }
            }
        }
    };
}
