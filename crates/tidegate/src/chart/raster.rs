//! An SVG as the pixels of a PNG, independent of the fonts of the machine.

use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result};
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::fontdb::{Database, Source};
use resvg::usvg::{Options, Tree};

use super::canvas::{HEIGHT, WIDTH};
use super::text::{BOLD, REGULAR};

/// How many pixels a unit of the SVG takes, for screens of double density and for print.
const SCALE: u16 = 2;

/// The two faces, read once.
static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    for face in [REGULAR, BOLD] {
        fonts.load_font_source(Source::Binary(Arc::new(face)));
    }
    fonts.set_serif_family("DejaVu Sans");
    fonts.set_sans_serif_family("DejaVu Sans");
    Arc::new(fonts)
});

/// What the SVG holds, read with this program's fonts only.
pub(super) fn tree(svg: &str) -> Result<Tree> {
    let options = Options { font_family: "DejaVu Sans".to_owned(), fontdb: Arc::clone(&FONTS), ..Options::default() };
    Tree::from_str(svg, &options).context("cannot read the chart's own SVG")
}

/// The PNG of a chart's SVG.
pub(super) fn png(svg: &str) -> Result<Vec<u8>> {
    let tree = tree(svg)?;
    let size = tree.size().to_int_size();
    let scale = u32::from(SCALE);
    let mut pixels = Pixmap::new(size.width() * scale, size.height() * scale)
        .with_context(|| format!("cannot hold a picture of {WIDTH} by {HEIGHT} at {SCALE}x"))?;
    pixels.fill(Color::WHITE);
    let scale = f32::from(SCALE);
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().context("cannot encode the chart as PNG")
}
