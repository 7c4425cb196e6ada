//! Images of every kind, written by Pillow, decoded here and beside it.
//!
//! The test is ignored unless it is asked for: it needs Python.

mod support;

use residual_train::data::Image;
use std::path::Path;
use std::process::Command;

/// Writes images of every kind, and for each a line of its file, how far a value may be off, how many values in a hundred may be
/// off by more than one, and its size; what Pillow makes of the file lies beside it in `NAME.raw`.
const SCRIPT: &str = r#"
import io, pathlib, struct, sys, zlib
import numpy as np
from PIL import Image, ImageOps
folder = pathlib.Path(sys.argv[1])
h, w = 67, 91
y, x = np.mgrid[0:h, 0:w]
scene = np.clip(np.stack([128 + 100 * np.sin(x / 9 + y / 17), 128 + 100 * np.cos(y / 11), (x * 2 + y) % 200], -1), 0, 255)
scene = scene.astype('u1')
scene[20:40, 30:60] = 200, 30, 40
rgb = Image.fromarray(scene)
grey = rgb.convert('L')
ramp = Image.fromarray((x * 2.8).astype('u1'))
rgba, la = rgb.copy(), grey.copy()
rgba.putalpha(ramp)
la.putalpha(ramp)
few = rgb.convert('P', palette=1, colors=8)

def tell(name, worst, expected):
    expected = np.ascontiguousarray(expected)
    (folder / (name + '.raw')).write_bytes(expected.astype('u1').tobytes())
    print(name, worst, *expected.shape[:2], 1 if expected.ndim == 2 else 3)

def on_white(image):
    a = np.asarray(image).astype(int)
    return (a[..., :-1] * a[..., -1:] + 255 * (255 - a[..., -1:]) + 127) // 255

def save(name, image, worst=0, **options):
    image.save(folder / name, **options)
    read(name, worst)

def read(name, worst):
    found = ImageOps.exif_transpose(Image.open(folder / name))
    if found.has_transparency_data:
        grey = found.mode in ('L', 'LA')
        pixels = on_white(found.convert('LA' if grey else 'RGBA'))
        tell(name, worst, pixels[..., 0] if grey else pixels)
    else:
        tell(name, worst, np.asarray(found.convert('L' if found.mode in ('L', '1') else 'RGB')))

# Decoders of JPEG differ in the transform's rounding, and a little in how they enlarge colours.
save('base.jpg', rgb, 4, quality=90, subsampling=0)
save('half.jpg', rgb, 4, quality=90, subsampling=1)
save('quarter.jpg', rgb, 4, quality=90, subsampling=2)
save('progressive.jpg', rgb, 4, quality=90, progressive=True, subsampling=0)
save('restart.jpg', rgb, 4, quality=90, restart_marker_blocks=3, subsampling=0)
save('rgb.jpg', rgb, 3, quality=95, keep_rgb=True)
save('grey.jpg', grey, 3)
save('greyprogressive.jpg', grey, 3, progressive=True)
save('cmyk.jpg', rgb.convert('CMYK'), 5, quality=95)
for size in ((1, 1), (8, 8), (17, 1), (1, 17), (500, 3)):
    save('%dx%d.jpg' % size, rgb.resize(size), 5, quality=95, subsampling=0)
# YCCK: cyan, magenta and yellow as luma and chroma, told by Adobe's marker.
cmyk = np.asarray(rgb.convert('CMYK')).copy()
cmyk[..., 3] = 40
ink = 255 - cmyk
ycc = np.asarray(Image.fromarray(255 - ink[..., :3]).convert('YCbCr'))
stored = np.concatenate([ycc, ink[..., 3:]], -1)
ycck = io.BytesIO()
Image.frombytes('CMYK', (w, h), (255 - stored).tobytes()).save(ycck, 'JPEG', quality=98, subsampling=0)
ycck = bytearray(ycck.getvalue())
ycck[ycck.find(b'Adobe') + 11] = 2
(folder / 'ycck.jpg').write_bytes(ycck)
read('ycck.jpg', 5)

for name, image in (('rgb', rgb), ('grey', grey), ('palette', rgb.convert('P')), ('alpha', rgba), ('greyalpha', la),
                      ('bit', grey.convert('1'))):
    save(name + '.png', image)
save('transparentcolour.png', few, transparency=3)
save('transparentcolours.png', few, transparency=bytes([0, 128, 255, 60, 255, 255, 10, 255]))
save('transparentrgb.png', rgb, transparency=(200, 30, 40))
save('transparentgrey.png', grey, transparency=100)
sixteen = np.asarray(grey).astype('u2') * 257 + (x * y % 200).astype('u2')
Image.fromarray(sixteen).save(folder / 'grey16.png')
tell('grey16.png', 0, (sixteen.astype(int) + 128) // 257)

def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

def png(name, depth, colour, rows, interlaced=0):
    head = struct.pack('>IIBBBBB', w, h, depth, colour, 0, 0, interlaced)
    parts = chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    (folder / name).write_bytes(b'\x89PNG\r\n\x1a\n' + parts)

def rows(pixels):
    return b''.join(b'\0' + row.tobytes() for row in pixels)

passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
png('interlaced.png', 8, 2, b''.join(rows(scene[a::c, b::d]) for a, b, c, d in passes), 1)
read('interlaced.png', 0)
deep = (scene.astype('u2') * 257).astype('>u2')
png('rgb16.png', 16, 2, rows(deep))
tell('rgb16.png', 0, scene)
png('rgba16.png', 16, 6, rows(np.concatenate([deep, np.full((h, w, 1), 128 * 257, '>u2')], -1).astype('>u2')))
tell('rgba16.png', 0, on_white(np.concatenate([scene, np.full((h, w, 1), 128, 'u1')], -1)))
for depth in (1, 2, 4):
    bits = np.unpackbits(np.asarray(grey)[..., None], axis=-1)[..., :depth].reshape(h, -1)
    png('grey%d.png' % depth, depth, 0, rows(np.packbits(bits, axis=-1)))
    read('grey%d.png' % depth, 0)

save('lossless.webp', rgb, lossless=True)
save('losslessalpha.webp', rgba, lossless=True, exact=True)
save('animated.webp', rgb, save_all=True, append_images=[rgb.rotate(90)], duration=100, lossless=True)
save('lossy.webp', rgb, 2, quality=80)
save('lossyalpha.webp', rgba, 2, quality=90)
save('rgb.bmp', rgb)
save('grey.bmp', grey)
save('palette.bmp', few)
save('bit.bmp', grey.convert('1'))
save('alpha.bmp', rgba)
for turn in range(1, 9):
    exif = Image.Exif()
    exif[0x112] = turn
    save('turn%d.jpg' % turn, rgb, 4, exif=exif, quality=95, subsampling=0)
    save('turn%d.png' % turn, rgb, exif=exif)
    save('turn%d.webp' % turn, rgb, exif=exif, lossless=True)
exif[0x112] = 77
save('turn77.jpg', rgb, 4, exif=exif, quality=95, subsampling=0)
save('exifcut.jpg', rgb, 4, exif=b'Exif\0\0MM\0*\xff\xff\xff\xff', quality=95, subsampling=0)
"#;

/// How many values differ, the largest difference, and the mean one.
fn differences(ours: &[u8], theirs: &[u8]) -> (usize, u8, f64) {
    let apart = || ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    let mean = apart().map(f64::from).sum::<f64>() / ours.len() as f64;
    (apart().filter(|d| *d > 0).count(), apart().max().unwrap_or(0), mean)
}

fn compare(folder: &Path, line: &str) -> Result<(), String> {
    let words: Vec<&str> = line.split(' ').collect();
    let [name, worst, ref size @ ..] = words[..] else { return Err(format!("{line} is no line of the script's")) };
    let size: Vec<usize> = size.iter().map(|n| n.parse().expect("a number")).collect();
    let image = Image::open(folder.join(name)).map_err(|error| error.to_string())?;
    let theirs = std::fs::read(folder.join(format!("{name}.raw"))).expect("written");
    let found = [image.height, image.width, image.channels];
    // A grey image that Pillow calls colours, and a palette of greys, are the same image.
    let ours = match (found[2], size[2]) {
        (1, 3) => image.pixels.iter().flat_map(|&v| [v; 3]).collect(),
        (3, 1) => image.pixels.iter().step_by(3).copied().collect(),
        _ => image.pixels,
    };
    if found[..2] != size[..2] {
        return Err(format!("{name} is {found:?} here and {size:?} there"));
    }
    let (differ, most, mean) = differences(&ours, &theirs);
    let worst: u8 = worst.parse().expect("a number");
    if most > worst || mean > 0.5 {
        let all = ours.len();
        return Err(format!("{name}: {differ} of {all} values differ, by up to {most}, {mean:.3} in the mean"));
    }
    Ok(())
}

#[test]
#[ignore = "needs Python with Pillow, numpy"]
fn images_of_every_kind_are_pillows() {
    let python = support::python("PIL, numpy");
    let folder = tempfile::tempdir().expect("a folder");
    let ran = Command::new(&python).args(["-c", SCRIPT]).arg(folder.path()).output().expect("Python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let told = String::from_utf8(ran.stdout).expect("names and numbers");
    let wrong: Vec<String> = told.lines().filter_map(|line| compare(folder.path(), line).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(told.lines().count(), 68, "images compared");
}
