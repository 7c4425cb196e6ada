//! Decoding of JPEG, PNG, WebP and BMP files.
//!
//! Orientation tags are applied, 16-bit values become 8-bit ones, palettes are resolved, and
//! transparent pixels are blended with white, as a page shows them (the colour *under* transparency
//! is whatever the drawing program left there). Grey images keep one channel until they are resized
//! for a network.

use crate::error::{Error, Result};
use image::codecs::png::PngEncoder;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader, Limits,
};
use std::error::Error as _;
use std::io::{Cursor, ErrorKind};
use std::path::Path;

/// Pixels of the largest image that is decoded: Pillow's limit (half a GiB in colour). A small file
/// can claim to be larger, and every thread may meet one.
const MAX_PIXELS: u64 = 178_956_970;
/// Bytes that a decoder may allocate: 16 bits in four channels at that size.
const MAX_BYTES: u64 = 8 * MAX_PIXELS;

/// Extensions of image files.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "jfif", "png", "webp", "bmp"];

/// Returns whether a file has an image's extension: JPEG, PNG, WebP or BMP. The content is not
/// read.
///
/// ```
/// use residual::image::is_image_name;
/// assert!(is_image_name("cat.JPG".as_ref()) && !is_image_name("cat.gif".as_ref()));
/// ```
pub fn is_image_name(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// The colour space that an image file declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// No profile, or sRGB, on which networks are trained.
    Standard,
    /// An ICC profile of another space. Decoding ignores it and reads the values as sRGB.
    Profiled,
}

/// A decoded image of any size, in 8 bits a value.
///
/// ```
/// use residual::Image;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("grey.png");
/// Image { height: 1, width: 3, channels: 1, pixels: vec![0, 128, 255] }.save_png(&path)?;
///
/// let image = Image::open(&path)?;
/// assert_eq!((image.height, image.width, image.channels), (1, 3, 1));
/// assert_eq!(image.pixels, [0, 128, 255]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
    /// Values per pixel: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Values as `[height, width, channels]`.
    pub pixels: Vec<u8>,
}

impl Image {
    /// Reads and decodes the JPEG, PNG, WebP or BMP file at `path`. The content decides the format,
    /// not the name.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is of another format, is truncated or corrupt, or claims
    /// more than 179 million pixels. The message begins with the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
        Self::decode_named(&bytes, &path.display().to_string())
    }

    /// Decodes the bytes of a JPEG, PNG, WebP or BMP file.
    ///
    /// # Errors
    /// Fails as [`open`](Self::open) does; the message calls the file "image".
    ///
    /// ```
    /// # let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images");
    /// # let bytes = &std::fs::read(format!("{tests}/turned.jpg")).unwrap();
    /// let image = residual::Image::decode(bytes)?;
    /// // 16x8 pixels whose orientation tag turns them by a quarter.
    /// assert_eq!((image.height, image.width, image.channels), (16, 8, 3));
    /// # Ok::<(), residual::Error>(())
    /// ```
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Self::decode_named(bytes, "image")
    }

    /// Decodes the bytes of a file; error messages call it `name`.
    ///
    /// # Errors
    /// Fails as [`open`](Self::open) does.
    pub fn decode_named(bytes: &[u8], name: &str) -> Result<Self> {
        Self::decode_with_colours(bytes, name).map(|(image, _)| image)
    }

    /// Decodes as [`decode_named`](Self::decode_named) and also returns the file's colour space.
    ///
    /// # Errors
    /// Fails as [`open`](Self::open) does.
    pub fn decode_with_colours(bytes: &[u8], name: &str) -> Result<(Self, Colours)> {
        let refuse = |why: String| Error::data(format!("{name} does not decode: {why}"));
        let mut decoder = decoder(bytes).map_err(refuse)?;
        let colours = colours(&mut decoder);
        let orientation = decoder.orientation().map_err(|e| refuse(why(&e)))?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(|e| refuse(why(&e)))?;
        image.apply_orientation(orientation);
        let (height, width) = (image.height() as usize, image.width() as usize);
        let colour = image.color();
        let (channels, pixels) = match (colour.has_color(), colour.has_alpha()) {
            (false, false) => (1, image.into_luma8().into_raw()),
            (true, false) => (3, image.into_rgb8().into_raw()),
            (false, true) => (1, on_white::<2>(image.into_luma_alpha8().as_raw())),
            (true, true) => (3, on_white::<4>(image.into_rgba8().as_raw())),
        };
        Ok((Self { height, width, channels, pixels }, colours))
    }

    /// Checks a file's header and end marker and returns its colour space, without decoding pixels.
    ///
    /// # Errors
    /// Fails as [`open`](Self::open) does, but overlooks damage between header and end.
    pub fn inspect(bytes: &[u8], name: &str) -> Result<Colours> {
        let mut decoder = decoder(bytes).map_err(|why| Error::data(format!("{name} does not decode: {why}")))?;
        Ok(colours(&mut decoder))
    }

    /// Writes the image as a PNG file.
    ///
    /// # Errors
    /// Fails if the file cannot be written, or `pixels` is not `height * width * channels` long.
    pub fn save_png(&self, path: &Path) -> Result<()> {
        let colour = if self.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let (width, height) = (self.width as u32, self.height as u32);
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes)
            .write_image(&self.pixels, width, height, colour)
            .map_err(|e| Error::data(format!("cannot encode {}: {e}", path.display())))?;
        std::fs::write(path, bytes).map_err(|e| Error::io("write", path, e))
    }
}

/// Returns a decoder for a file after checking its format, end and size.
fn decoder(bytes: &[u8]) -> std::result::Result<impl ImageDecoder + '_, String> {
    if bytes.is_empty() {
        return Err("it is empty".into());
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    match reader.format() {
        Some(ImageFormat::Jpeg) => check_jpeg(bytes)?,
        Some(ImageFormat::Png) if !bytes.windows(4).any(|w| w == b"IEND") => {
            return Err("it is truncated: PNG's end chunk is missing".into());
        }
        Some(ImageFormat::WebP) if !riff_ends(bytes) => {
            return Err("it is truncated: it is shorter than its header says".into());
        }
        Some(ImageFormat::Png | ImageFormat::WebP | ImageFormat::Bmp) => {}
        Some(other) => return Err(format!("it is {other:?}, not JPEG, PNG, WebP or BMP")),
        None => return Err("it is neither JPEG, PNG, WebP nor BMP".into()),
    }
    let decoder = reader.into_decoder().map_err(|e| why(&e))?;
    let (width, height) = decoder.dimensions();
    // A few bytes can claim more pixels than memory holds; nothing has been allocated yet.
    match u64::from(width) * u64::from(height) > MAX_PIXELS {
        true => Err(format!("it claims {width}x{height} pixels, more than {} million", MAX_PIXELS / 1_000_000)),
        false => Ok(decoder),
    }
}

/// Returns the declared colour space. An unreadable profile counts as none: the pixels may be
/// whole.
fn colours(decoder: &mut impl ImageDecoder) -> Colours {
    let names_srgb = |profile: &[u8]| {
        // In ASCII up to version 2 of the format, in UTF-16 from version 4 on.
        let holds = |name: &[u8]| profile.windows(name.len()).any(|window| window == name);
        holds(b"sRGB") || holds(b"\0s\0R\0G\0B")
    };
    match decoder.icc_profile() {
        Ok(Some(profile)) if !names_srgb(&profile) => Colours::Profiled,
        _ => Colours::Standard,
    }
}

/// Returns a decoder's error in plain words.
fn why(error: &ImageError) -> String {
    match error {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => "it is truncated".into(),
        // The inner message, without the format's name around it.
        ImageError::Decoding(error) => match error.source().map_or_else(|| error.to_string(), ToString::to_string) {
            // The rest of this message is the content of a chunk.
            why if why.starts_with("CRC error") => "it was altered: a checksum does not match".into(),
            why => why,
        },
        other => other.to_string(),
    }
}

/// Checks that a JPEG file is of a supported kind and has an end marker behind its first scan.
///
/// Without the marker the decoder would fill the missing part with grey rather than fail. Segments
/// before the scan are skipped by their length, since a thumbnail in one has its own end marker.
fn check_jpeg(bytes: &[u8]) -> std::result::Result<(), String> {
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4).and_then(|b| <&[u8; 4]>::try_from(b).ok()) {
        match marker {
            // A fill byte.
            0xff => at += 1,
            0xda if bytes[at..].windows(2).any(|w| w == [0xff, 0xd9]) => return Ok(()),
            // Frame markers (ITU-T T.81, table B.1). Huffman-coded frames are sequential or
            // progressive; c4, c8 and cc are not frames.
            0xc3 => return Err("it is lossless JPEG, which is not read".into()),
            0xc5..=0xc7 => return Err("it is hierarchical JPEG, which is not read".into()),
            0xc9..=0xcb | 0xcd..=0xcf => return Err("it is JPEG with arithmetic coding, which is not read".into()),
            0xc0..=0xc2 if bytes.get(at + 4).is_some_and(|&bits| bits != 8) => {
                return Err(format!("it is JPEG of {} bits a value, and 8 are read", bytes[at + 4]));
            }
            0xda => break,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    Err("it is truncated: JPEG's end marker is missing".into())
}

/// Returns whether a WebP file is as long as its header says.
fn riff_ends(bytes: &[u8]) -> bool {
    let size = bytes.get(4..8).and_then(|size| <[u8; 4]>::try_from(size).ok());
    size.is_some_and(|size| bytes.len() as u64 >= u64::from(u32::from_le_bytes(size)) + 8)
}

/// Blends `[…, colour, alpha]` with white and returns `[…, colour]`.
fn on_white<const N: usize>(pixels: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len() / N * (N - 1));
    for pixel in pixels.chunks_exact(N) {
        let alpha = u32::from(pixel[N - 1]);
        out.extend(pixel[..N - 1].iter().map(|&v| ((u32::from(v) * alpha + 255 * (255 - alpha) + 127) / 255) as u8));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};

    /// 16x8, the left half blue (20, 60, 220), the right half red (200, 30, 40), "turn clockwise"
    /// (orientation 6), by Pillow 13.0 at quality 90.
    const TURNED: &[u8] = include_bytes!("../../tests/images/turned.jpg");

    fn turned_jpeg() -> Vec<u8> {
        TURNED.to_vec()
    }

    fn png(pixels: &[u8], width: u32, height: u32, colour: ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = PngEncoder::new(&mut bytes);
        encoder.write_image(pixels, width, height, colour).expect("an image");
        bytes
    }

    fn encoded(image: DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).expect("an image");
        bytes.into_inner()
    }

    #[test]
    fn orientation_tags_are_applied() {
        let image = Image::decode_named(&turned_jpeg(), "turned").expect("an image");
        assert_eq!((image.height, image.width, image.channels), (16, 8, 3));
        // Pillow's `exif_transpose` has (20, 60, 218) above and (200, 30, 41) below; decoders may
        // differ by 3.
        for (at, expected) in [((2 * 8 + 3) * 3, [20u8, 60, 218]), ((13 * 8 + 3) * 3, [200, 30, 41])] {
            let found = &image.pixels[at..at + 3];
            assert!(found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3), "{found:?} {expected:?}");
        }
    }

    #[test]
    fn grey_keeps_one_channel_and_transparency_is_blended_with_white() {
        let grey = Image::decode_named(&png(&[0, 128, 255], 3, 1, ExtendedColorType::L8), "grey").expect("an image");
        assert_eq!((grey.channels, grey.pixels), (1, vec![0, 128, 255]));
        let pixels = vec![9, 8, 7, 255, 9, 8, 7, 0, 0, 0, 0, 51];
        let alpha: ImageBuffer<Rgba<u8>, _> = ImageBuffer::from_raw(3, 1, pixels).expect("three pixels");
        let colour = Image::decode_named(&encoded(DynamicImage::ImageRgba8(alpha)), "alpha").expect("an image");
        assert_eq!((colour.channels, colour.pixels), (3, vec![9, 8, 7, 255, 255, 255, 204, 204, 204]));
        let alpha: ImageBuffer<LumaA<u8>, _> = ImageBuffer::from_raw(2, 1, vec![9, 255, 9, 0]).expect("two pixels");
        let grey = Image::decode_named(&encoded(DynamicImage::ImageLumaA8(alpha)), "alpha").expect("an image");
        assert_eq!((grey.channels, grey.pixels), (1, vec![9, 255]));
    }

    #[test]
    fn sixteen_bit_values_become_eight_bit_ones() {
        let deep: ImageBuffer<Luma<u16>, _> =
            ImageBuffer::from_raw(3, 1, vec![0u16, 32_896, 65_535]).expect("three pixels");
        let image = Image::decode_named(&encoded(DynamicImage::ImageLuma16(deep)), "deep").expect("an image");
        assert_eq!((image.channels, image.pixels), (1, vec![0, 128, 255]));
        let deep: ImageBuffer<Rgba<u16>, _> =
            ImageBuffer::from_raw(1, 1, vec![65_535u16, 0, 257, 65_535]).expect("a pixel");
        let image = Image::decode_named(&encoded(DynamicImage::ImageRgba16(deep)), "deep").expect("an image");
        assert_eq!((image.channels, image.pixels), (3, vec![255, 0, 1]));
    }

    #[test]
    fn truncated_corrupt_and_other_files_fail_with_their_name() {
        let (jpeg, png) = (turned_jpeg(), png(&[77; 64 * 64], 64, 64, ExtendedColorType::L8));
        let mut crc = png.clone();
        // The checksum of the pixels lies in front of the end chunk of twelve bytes.
        crc[png.len() - 14] ^= 1;
        let cases: [(&[u8], &str); 7] = [
            (&jpeg[..jpeg.len() - 2], "it is truncated: JPEG's end marker is missing"),
            (&jpeg[..100], "it is truncated: JPEG's end marker is missing"),
            (&png[..png.len() - 12], "it is truncated: PNG's end chunk is missing"),
            (&crc, "it was altered: a checksum does not match"),
            (b"GIF89a", "it is Gif, not JPEG, PNG, WebP or BMP"),
            (b"hello", "it is neither JPEG, PNG, WebP nor BMP"),
            (b"", "it is empty"),
        ];
        for (bytes, why) in cases {
            let error = Image::decode_named(bytes, "cat.jpg").expect_err(why).to_string();
            assert!(error.starts_with("cat.jpg does not decode: ") && error.ends_with(why), "{error}");
        }
    }

    #[test]
    fn each_unsupported_kind_of_jpeg_has_its_own_message() {
        let jpeg = turned_jpeg();
        let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).expect("a baseline frame");
        let cases = [
            (1, 0xc3, "it is lossless JPEG, which is not read"),
            (1, 0xc6, "it is hierarchical JPEG, which is not read"),
            (1, 0xc9, "it is JPEG with arithmetic coding, which is not read"),
            (4, 12, "it is JPEG of 12 bits a value, and 8 are read"),
        ];
        for (offset, value, why) in cases {
            let mut other = jpeg.clone();
            other[frame + offset] = value;
            let error = Image::decode_named(&other, "x.jpg").expect_err(why).to_string();
            assert_eq!(error, format!("x.jpg does not decode: {why}"));
        }
    }

    fn encoded_as(image: DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).expect("an image");
        bytes.into_inner()
    }

    #[test]
    fn webp_and_bmp_decode_to_their_pixels_and_truncated_ones_fail() {
        let pixels: Vec<u8> = (0..5 * 3 * 3).map(|i| (i * 5) as u8).collect();
        let colour: ImageBuffer<Rgb<u8>, _> = ImageBuffer::from_raw(5, 3, pixels.clone()).expect("fifteen pixels");
        for format in [ImageFormat::WebP, ImageFormat::Bmp] {
            let bytes = encoded_as(DynamicImage::ImageRgb8(colour.clone()), format);
            let image = Image::decode_named(&bytes, "colours").expect("an image");
            assert_eq!((image.height, image.width, image.channels), (3, 5, 3), "{format:?}");
            assert_eq!(image.pixels, pixels, "{format:?} is lossless here");
            for end in [10, 20, bytes.len() / 2, bytes.len() - 8] {
                assert!(Image::decode_named(&bytes[..end], "cut").is_err(), "{format:?} cut at {end}");
            }
        }
    }

    #[test]
    fn a_small_file_that_claims_to_be_huge_fails_before_decoding() {
        // A PNG's head says 60000x60000; its checksum is made to agree.
        let mut bomb = png(&[7; 4], 2, 2, ExtendedColorType::L8);
        bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        // Lossless WebP at the largest size that it has: width and height less one, 14 bits each.
        let grey: ImageBuffer<Rgb<u8>, _> = ImageBuffer::from_raw(1, 1, vec![7u8; 3]).expect("a pixel");
        let mut webp = encoded_as(DynamicImage::ImageRgb8(grey), ImageFormat::WebP);
        webp[21..25].copy_from_slice(&(0x3ffeu32 | 0x3ffe << 14).to_le_bytes());
        // A JPEG's frame header holds height and width behind marker, length and precision.
        let mut jpeg = turned_jpeg();
        let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).expect("a baseline JPEG");
        jpeg[frame + 5..frame + 9].fill(0xff);
        for (bytes, size) in [(bomb, "60000x60000"), (webp, "16383x16383"), (jpeg, "65535x65535")] {
            let why = format!("it claims {size} pixels, more than 178 million");
            for error in [Image::decode_named(&bytes, "bomb").map(|_| ()), Image::inspect(&bytes, "bomb").map(|_| ())] {
                assert_eq!(error.expect_err("huge").to_string(), format!("bomb does not decode: {why}"));
            }
        }
    }

    #[test]
    fn grey_cmyk_and_progressive_jpegs_decode_as_in_pillow() {
        // 16x8, left half (20, 60, 220), right half (200, 30, 40), by Pillow 13.0 at quality 90;
        // decoders may differ by 3.
        let cases = [
            (
                "progressive",
                include_bytes!("../../tests/images/progressive.jpg").as_slice(),
                [[20, 60, 220], [200, 30, 39]],
            ),
            ("CMYK", include_bytes!("../../tests/images/cmyk.jpg"), [[20, 60, 220], [200, 30, 40]]),
            ("grey", include_bytes!("../../tests/images/grey.jpg"), [[66; 3], [82; 3]]),
        ];
        for (kind, bytes, expected) in cases {
            let image = Image::decode_named(bytes, kind).expect(kind);
            assert_eq!((image.height, image.width), (8, 16), "{kind}");
            assert_eq!(image.channels, if kind == "grey" { 1 } else { 3 }, "{kind}");
            for (x, expected) in [3, 13].into_iter().zip(expected) {
                let at = (2 * 16 + x) * image.channels;
                let found = &image.pixels[at..at + image.channels];
                assert!(found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3), "{kind}: {found:?}");
            }
        }
    }

    #[test]
    fn a_colour_profile_other_than_srgb_is_reported_and_ignored() {
        let profiled = |name: &[u8]| {
            let mut jpeg = turned_jpeg();
            let body = [b"ICC_PROFILE\0\x01\x01".as_slice(), &[0; 128], name].concat();
            let head = [&[0xff, 0xe2][..], &(body.len() as u16 + 2).to_be_bytes()].concat();
            jpeg.splice(2..2, head.into_iter().chain(body));
            jpeg
        };
        let plain = Image::decode_named(&turned_jpeg(), "plain").expect("an image");
        for (name, colours) in [
            (b"Adobe RGB (1998)".as_slice(), Colours::Profiled),
            (b"sRGB IEC61966-2.1", Colours::Standard),
            (b"\0s\0R\0G\0B\0 \0b\0u\0i\0l\0t", Colours::Standard),
        ] {
            let bytes = profiled(name);
            let (image, found) = Image::decode_with_colours(&bytes, "profiled").expect("an image");
            assert_eq!((found, &image), (colours, &plain), "{}", String::from_utf8_lossy(name));
            assert_eq!(Image::inspect(&bytes, "profiled").expect("whole"), colours);
        }
    }

    #[test]
    fn every_prefix_of_an_image_fails_without_a_panic() {
        for whole in [turned_jpeg(), png(&[77; 64], 8, 8, ExtendedColorType::L8)] {
            assert!(Image::decode_named(&whole, "whole").is_ok());
            for end in 0..whole.len() - 4 {
                assert!(Image::decode_named(&whole[..end], "cut").is_err(), "cut at {end} of {}", whole.len());
            }
        }
    }

    #[test]
    fn changed_bytes_never_panic() {
        for whole in [turned_jpeg(), png(&[77; 64], 8, 8, ExtendedColorType::L8)] {
            for at in 0..whole.len() {
                for flip in [0xff, 0x55, 0x80, 0x01] {
                    let mut changed = whole.clone();
                    changed[at] ^= flip;
                    let _ = Image::decode_named(&changed, "changed");
                }
            }
        }
    }
}
