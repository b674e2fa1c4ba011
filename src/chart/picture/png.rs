//! Pixels with a palette as PNG (ISO/IEC 15948): one image, 8 bits a pixel, not interlaced.

use miniz_oxide::deflate::compress_to_vec_zlib;

/// What each PNG begins with.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// 8 bits of a palette; the one compression and the one filtering that there are; no interlace.
const HEADER: [u8; 5] = [8, 3, 0, 0, 0];
/// A row as its difference to the row above.
const UP: u8 = 2;
/// How hard is packed: the most.
const LEVEL: u8 = 9;

/// A colour of a palette: red, green, blue, and how opaque.
pub(super) type Color = [u8; 4];

/// Encodes rows of places in a palette of 256 colours at most. The same pixels give the same bytes.
pub(super) fn encode(width: u32, palette: &[Color], pixels: &[u8]) -> Vec<u8> {
    let across = usize::try_from(width).unwrap_or(usize::MAX).max(1);
    let rows = pixels.chunks_exact(across);
    let height = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let mut packed = Vec::with_capacity(pixels.len() + rows.len());
    let mut above: &[u8] = &[];
    for row in rows {
        // Each row names its filter. `Up`, the difference to the row above: most rows of a chart are alike.
        packed.push(UP);
        let above_all = above.iter().copied().chain(std::iter::repeat(0));
        packed.extend(row.iter().zip(above_all).map(|(here, above)| here.wrapping_sub(above)));
        above = row;
    }
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &HEADER].concat();
    let colors: Vec<u8> = palette.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect();
    let opacities: Vec<u8> = palette.iter().map(|[.., opacity]| *opacity).collect();
    let mut png = SIGNATURE.to_vec();
    chunk(&mut png, *b"IHDR", &header);
    chunk(&mut png, *b"PLTE", &colors);
    chunk(&mut png, *b"tRNS", &opacities);
    chunk(&mut png, *b"IDAT", &compress_to_vec_zlib(&packed, LEVEL));
    chunk(&mut png, *b"IEND", &[]);
    png
}

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let checked = [&kind[..], data].concat();
    png.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    png.extend_from_slice(&checked);
    png.extend(crc(&checked).to_be_bytes());
}

/// The checksum of a chunk: CRC-32 as of ISO 3309, bit by bit, for a chunk is small.
fn crc(bytes: &[u8]) -> u32 {
    let register = bytes.iter().fold(u32::MAX, |register, byte| {
        (0..8).fold(register ^ u32::from(*byte), |register, _| {
            let is_odd = register & 1 == 1;
            (register >> 1) ^ if is_odd { 0xedb8_8320 } else { 0 }
        })
    });
    !register
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // The check value of CRC-32, and the chunk that ends each PNG.
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc(b"IEND"), 0xae42_6082);
    }

    #[test]
    fn pixels_come_back_as_they_were() {
        let palette = [[0, 0, 0, 0], [1, 2, 3, 128]];
        let png = encode(3, &palette, &[0, 1, 0, 1, 0, 1]);
        assert!(png.starts_with(&SIGNATURE));
        assert_eq!(png[16..29], [0, 0, 0, 3, 0, 0, 0, 2, 8, 3, 0, 0, 0]);
        let at = png.windows(4).position(|four| four == b"IDAT").expect("a chunk");
        let length = u32::from_be_bytes(png[at - 4..at].try_into().unwrap());
        let data = &png[at + 4..at + 4 + usize::try_from(length).unwrap()];
        let rows = miniz_oxide::inflate::decompress_to_vec_zlib(data).expect("zlib");
        assert_eq!(rows, [2, 0, 1, 0, 2, 1, 255, 1], "the second is 1, 0, 1");
        assert!(png.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"));
    }
}
