//! The part of a PDF's drawing operators that concerns text.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use hayro_cmap::BfString;
use hayro_font::{
    CMapResolverFn, Font, FontCache, FontGlyph, FontQuery, FontResolverFn, GlyphId, StandardFont,
    UNITS_PER_EM,
    kurbo::{Affine, Point, Vec2},
};
use hayro_syntax::{
    content::{TypedIter, ops::TypedInstruction},
    object::{Array, Dict, Name, Number, Object, ObjectIdentifier, Stream},
    page::Resources,
};

use super::{
    cost,
    layout::{Glyph, Layout},
    resources::Key,
};
use crate::{limits::Limits, refusal::Refusal, text::Writer};

/// Forms drawn inside each other; deeper ones are left out.
const DEEPEST_FORM: usize = 16;

/// Saved graphics states of one content stream; more are not saved.
const DEEPEST_STATE: usize = 256;

/// Runs content streams and hands on what they show as text.
pub(super) struct Interpreter<'a, 'w> {
    fonts: FontCache<'a>,
    /// Fonts that were read.
    known: HashMap<Key, Option<Font<'a>>>,
    /// Graphics states that were read: the font and the size that they set, where they do.
    states: HashMap<Key, Option<(Option<Font<'a>>, f64)>>,
    pictures: HashSet<Key>,
    /// Properties that were read: the text that they bring.
    texts: HashMap<Key, Option<Arc<str>>>,
    font_resolver: FontResolverFn,
    cmap_resolver: CMapResolverFn,
    layout: Layout<'w>,
    /// Forms that showed nothing the first time, such as a logo that stands on each page.
    silent: HashSet<ObjectIdentifier>,
    shown: usize,
    unreadable: usize,
    images: usize,
    limits: Limits,
    operators_left: u64,
    unpacked_left: u64,
    glyphs: Vec<Glyph>,
}

/// What `q` saves.
#[derive(Clone)]
struct State<'a> {
    to_page: Affine,
    font: Option<Font<'a>>,
    size: f64,
    character_space: f64,
    word_space: f64,
    scale: f64,
    leading: f64,
    rise: f64,
}

impl Default for State<'_> {
    fn default() -> Self {
        Self {
            to_page: Affine::IDENTITY,
            font: None,
            size: 1.0,
            character_space: 0.0,
            word_space: 0.0,
            scale: 1.0,
            leading: 0.0,
            rise: 0.0,
        }
    }
}

/// One content stream while it runs.
struct Run<'a> {
    state: State<'a>,
    saved: Vec<State<'a>>,
    matrix: Affine,
    line: Affine,
    /// For each marked part that is open, whether it brought its text with it.
    marked: Vec<bool>,
    /// How many of them did.
    marked_with_text: usize,
    /// Text that stands in for the glyphs of the marked part.
    actual: Option<Arc<str>>,
}

impl<'a> Run<'a> {
    fn new(state: State<'a>) -> Self {
        Self {
            state,
            saved: Vec::new(),
            matrix: Affine::IDENTITY,
            line: Affine::IDENTITY,
            marked: Vec::new(),
            marked_with_text: 0,
            actual: None,
        }
    }

    fn next_line(&mut self, x: f64, y: f64) {
        self.line *= Affine::translate((x, y));
        self.matrix = self.line;
    }
}

impl<'a, 'w> Interpreter<'a, 'w> {
    pub(super) fn new(limits: &Limits, writer: &'w mut Writer) -> Self {
        Self {
            fonts: FontCache::new(),
            known: HashMap::new(),
            states: HashMap::new(),
            pictures: HashSet::new(),
            texts: HashMap::new(),
            font_resolver: Arc::new(|query| {
                Some(match query {
                    FontQuery::Standard(font) => font.get_font_data(),
                    FontQuery::Fallback(query) => query.pick_standard_font().get_font_data(),
                })
            }),
            cmap_resolver: Arc::new(hayro_cmap::load_embedded),
            layout: Layout::new(writer),
            silent: HashSet::new(),
            shown: 0,
            unreadable: 0,
            images: 0,
            operators_left: limits.operators,
            unpacked_left: limits.unpacked_bytes,
            limits: limits.clone(),
            glyphs: Vec::new(),
        }
    }

    pub(super) fn writer(&mut self) -> &mut Writer {
        self.layout.begin_page()
    }

    /// Characters that were shown, glyphs that stand for none, and images.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.shown, self.unreadable, self.images)
    }

    /// Runs the content of a page.
    pub(super) fn page(
        &mut self,
        content: &[u8],
        resources: &Resources<'a>,
    ) -> Result<(), Refusal> {
        self.unpack(content.len() as u64)?;
        self.run(content, resources, State::default(), 0)
    }

    /// Runs what a field or a note looks like, as text of its own.
    pub(super) fn appearance(
        &mut self,
        form: &Stream<'a>,
        resources: &Resources<'a>,
    ) -> Result<(), Refusal> {
        self.layout.begin_line()?;
        self.form(form, resources, &State::default(), 0)
    }

    fn run(
        &mut self,
        content: &[u8],
        resources: &Resources<'a>,
        state: State<'a>,
        depth: usize,
    ) -> Result<(), Refusal> {
        let mut run = Run::new(state);
        let mut operators = TypedIter::new(content);
        while let Some(operator) = operators.next() {
            self.operators_left = self.operators_left.checked_sub(1).ok_or_else(|| {
                Refusal::invalid(format!(
                    "The PDF draws more than {} things, which is the limit. Split it into smaller files.",
                    self.limits.operators
                ))
            })?;
            self.operator(&operator, &mut run, resources, depth)?;
        }
        Ok(())
    }

    fn operator(
        &mut self,
        operator: &TypedInstruction<'_, '_>,
        run: &mut Run<'a>,
        resources: &Resources<'a>,
        depth: usize,
    ) -> Result<(), Refusal> {
        use TypedInstruction as Op;
        match operator {
            Op::SaveState(_) if run.saved.len() < DEEPEST_STATE => {
                run.saved.push(run.state.clone());
            }
            Op::RestoreState(_) => {
                if let Some(state) = run.saved.pop() {
                    run.state = state;
                }
            }
            Op::Transform(op) => {
                run.state.to_page *= matrix([&op.0, &op.1, &op.2, &op.3, &op.4, &op.5]);
            }
            Op::BeginText(_) => {
                run.matrix = Affine::IDENTITY;
                run.line = Affine::IDENTITY;
            }
            Op::TextFont(op) => {
                run.state.font = self.named_font(op.0, resources)?;
                run.state.size = op.1.as_f64();
            }
            Op::SetGraphicsState(op) => self.graphics_state(op.0, run, resources)?,
            Op::CharacterSpacing(op) => run.state.character_space = op.0.as_f64(),
            Op::WordSpacing(op) => run.state.word_space = op.0.as_f64(),
            Op::HorizontalScaling(op) => run.state.scale = op.0.as_f64() / 100.0,
            Op::TextLeading(op) => run.state.leading = op.0.as_f64(),
            Op::TextRise(op) => run.state.rise = op.0.as_f64(),
            Op::NextLine(op) => run.next_line(op.0.as_f64(), op.1.as_f64()),
            Op::NextLineAndSetLeading(op) => {
                run.state.leading = -op.1.as_f64();
                run.next_line(op.0.as_f64(), op.1.as_f64());
            }
            Op::SetTextMatrix(op) => {
                run.line = matrix([&op.0, &op.1, &op.2, &op.3, &op.4, &op.5]);
                run.matrix = run.line;
            }
            Op::NextLineUsingLeading(_) => run.next_line(0.0, -run.state.leading),
            Op::ShowText(op) => self.show(op.0.as_bytes(), run)?,
            Op::NextLineAndShowText(op) => {
                run.next_line(0.0, -run.state.leading);
                self.show(op.0.as_bytes(), run)?;
            }
            Op::ShowTextWithParameters(op) => {
                run.state.word_space = op.0.as_f64();
                run.state.character_space = op.1.as_f64();
                run.next_line(0.0, -run.state.leading);
                self.show(op.2.as_bytes(), run)?;
            }
            Op::ShowTexts(op) => self.show_adjusted(op.0, run)?,
            Op::XObject(op) => self.draw(op.0, run, resources, depth)?,
            Op::InlineImage(_) => self.images += 1,
            Op::BeginMarkedContent(_) => run.marked.push(false),
            Op::BeginMarkedContentWithProperties(op) => {
                let text = match op.1 {
                    Object::Dict(properties) => actual_text(properties),
                    Object::Name(name) => self.named_text(name, resources),
                    _ => None,
                };
                run.marked.push(text.is_some());
                run.marked_with_text += usize::from(text.is_some());
                if text.is_some() {
                    run.actual = text;
                }
            }
            Op::EndMarkedContent(_) if run.marked.pop() == Some(true) => {
                run.marked_with_text -= 1;
                run.actual = None;
            }
            _ => {}
        }
        Ok(())
    }

    fn graphics_state(
        &mut self,
        name: &Name<'_>,
        run: &mut Run<'a>,
        resources: &Resources<'a>,
    ) -> Result<(), Refusal> {
        let Some(key) = Key::of(&resources.ext_g_states, name) else {
            return Ok(());
        };
        let set = if let Some(set) = self.states.get(&key) {
            set.clone()
        } else {
            let set = match resources.get_ext_g_state(name) {
                Some(state) => self.font_of_state(&state)?,
                None => None,
            };
            self.states.insert(key, set.clone());
            set
        };
        if let Some((font, size)) = set {
            run.state.font = font;
            run.state.size = size;
        }
        Ok(())
    }

    /// The font and the size that a graphics state sets.
    fn font_of_state(
        &mut self,
        state: &Dict<'a>,
    ) -> Result<Option<(Option<Font<'a>>, f64)>, Refusal> {
        let Some(font) = state.get::<Array<'a>>("Font") else {
            return Ok(None);
        };
        let mut parts = font.iter::<Object<'a>>();
        let (font, size) = (parts.next(), parts.next());
        match (
            font.and_then(Object::into_dict),
            size.and_then(Object::into_number),
        ) {
            (Some(font), Some(size)) => Ok(Some((self.font(&font)?, size.as_f64()))),
            _ => Ok(None),
        }
    }

    /// The text that the properties of this name bring.
    fn named_text(&mut self, name: &Name<'_>, resources: &Resources<'a>) -> Option<Arc<str>> {
        let key = Key::of(&resources.properties, name)?;
        let read = || actual_text(&resources.properties.get::<Dict<'_>>(name.as_ref())?);
        self.texts.entry(key).or_insert_with(read).clone()
    }

    fn named_font(
        &mut self,
        name: &Name<'_>,
        resources: &Resources<'a>,
    ) -> Result<Option<Font<'a>>, Refusal> {
        let Some(key) = Key::of(&resources.fonts, name) else {
            return Ok(None);
        };
        if let Some(font) = self.known.get(&key) {
            return Ok(font.clone());
        }
        let font = match resources.get_font(name) {
            Some(font) => self.font(&font)?,
            None => None,
        };
        self.known.insert(key, font.clone());
        Ok(font)
    }

    /// The font of a dictionary, once it is known what it takes.
    fn font(&mut self, font: &Dict<'a>) -> Result<Option<Font<'a>>, Refusal> {
        let cost = cost::of_font(font, self.unpacked_left)?;
        self.unpack(cost)?;
        let font = self
            .fonts
            .font(font, &self.font_resolver, &self.cmap_resolver);
        Ok(font.or_else(|| {
            self.fonts
                .standard_font(StandardFont::Helvetica, &self.font_resolver)
        }))
    }

    /// Draws a form, or counts an image.
    fn draw(
        &mut self,
        name: &Name<'_>,
        run: &Run<'a>,
        resources: &Resources<'a>,
        depth: usize,
    ) -> Result<(), Refusal> {
        let Some(key) = Key::of(&resources.x_objects, name) else {
            return Ok(());
        };
        if self.pictures.contains(&key) {
            self.images += 1;
            return Ok(());
        }
        if matches!(key, Key::Object(object) if self.silent.contains(&object.into())) {
            return Ok(());
        }
        let Some(object) = resources.get_x_object(name) else {
            return Ok(());
        };
        match object.dict().get::<Name<'_>>("Subtype").as_deref() {
            Some(b"Image") => {
                self.images += 1;
                self.pictures.insert(key);
                Ok(())
            }
            Some(b"Form") => self.form(&object, resources, &run.state, depth),
            _ => {
                self.silent.insert(object.obj_id());
                Ok(())
            }
        }
    }

    fn form(
        &mut self,
        form: &Stream<'a>,
        resources: &Resources<'a>,
        state: &State<'a>,
        depth: usize,
    ) -> Result<(), Refusal> {
        let id = form.obj_id();
        if depth >= DEEPEST_FORM || self.silent.contains(&id) {
            return Ok(());
        }
        let Ok(content) = form.decoded_data() else {
            return Ok(());
        };
        let dict = form.dict();
        self.unpack((content.len() + dict.data().len()) as u64)?;
        let own = dict.get::<Dict<'a>>("Resources").map(Resources::new);
        let mut state = state.clone();
        if let Some(matrix) = dict.get::<[f64; 6]>("Matrix") {
            state.to_page *= Affine::new(matrix);
        }
        let before = (self.shown + self.unreadable, self.images);
        self.run(
            &content,
            own.as_ref().unwrap_or(resources),
            state,
            depth + 1,
        )?;
        if before == (self.shown + self.unreadable, self.images) {
            self.silent.insert(id);
        }
        Ok(())
    }

    fn show_adjusted(&mut self, parts: &Array<'_>, run: &mut Run<'a>) -> Result<(), Refusal> {
        for part in parts.iter::<Object<'_>>() {
            match part {
                Object::String(text) => self.show(text.as_bytes(), run)?,
                Object::Number(number) => {
                    let moved = -number.as_f64() / f64::from(UNITS_PER_EM) * run.state.size;
                    let horizontal = run.state.font.as_ref().is_none_or(Font::is_horizontal);
                    run.matrix *= Affine::translate(if horizontal {
                        (moved * run.state.scale, 0.0)
                    } else {
                        (0.0, moved)
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Shows the codes of a string, and moves on behind them.
    fn show(&mut self, bytes: &[u8], run: &mut Run<'a>) -> Result<(), Refusal> {
        let Some(font) = run.state.font.clone() else {
            return Ok(());
        };
        self.glyphs.clear();
        let mut at = 0;
        while at < bytes.len() {
            let (code, length) = font.read_code(bytes, at);
            at += length.max(1);
            let text = match font.glyph(GlyphId::NOTDEF, code) {
                FontGlyph::Outline(glyph) => glyph.as_unicode(),
                FontGlyph::Type3(glyph) => glyph.as_unicode(),
            };
            let advance = advance(&font, code, length, &run.state);
            let to_page = run.state.to_page * run.matrix * Affine::translate((0.0, run.state.rise));
            run.matrix *= Affine::translate(advance);
            let end = run.state.to_page * run.matrix * Affine::translate((0.0, run.state.rise));
            let text = self.read(text);
            self.glyphs.push(Glyph {
                text,
                start: to_page * Point::ZERO,
                end: end * Point::ZERO,
                size: (to_page * Point::new(0.0, run.state.size) - to_page * Point::ZERO).hypot(),
            });
        }
        if run.marked_with_text > 0 {
            self.stand_in(run)?;
        }
        self.layout.show(&self.glyphs)
    }

    /// The characters of a glyph; none when its font does not say them.
    fn read(&mut self, text: Option<BfString>) -> String {
        let text = match text {
            Some(BfString::Char(char)) => char.to_string(),
            Some(BfString::String(text)) => text,
            None => String::new(),
        };
        let readable = !text.is_empty()
            && !text
                .chars()
                .any(|char| (char.is_control() && !char.is_whitespace()) || is_private(char));
        if !readable {
            self.unreadable += 1;
            return char::REPLACEMENT_CHARACTER.to_string();
        }
        self.shown += usize::from(!text.trim().is_empty());
        text
    }

    /// Puts the text that a marked part brought in the place of its first glyph, nothing in the others'.
    fn stand_in(&mut self, run: &mut Run<'a>) -> Result<(), Refusal> {
        for glyph in &mut self.glyphs {
            if glyph.text.starts_with(char::REPLACEMENT_CHARACTER) {
                self.unreadable = self.unreadable.saturating_sub(1);
            }
            glyph.text = run
                .actual
                .take()
                .map_or_else(String::new, |text| (*text).to_owned());
            self.shown += usize::from(!glyph.text.trim().is_empty());
        }
        let length: usize = self.glyphs.iter().map(|glyph| glyph.text.len()).sum();
        self.unpack(length as u64)
    }

    /// Counts bytes that were unpacked, or are read anew.
    pub(super) fn unpack(&mut self, bytes: u64) -> Result<(), Refusal> {
        let left = self.unpacked_left.checked_sub(bytes);
        self.unpacked_left = left.ok_or_else(|| unpacks_to_too_much(&self.limits))?;
        Ok(())
    }
}

/// The refusal of a document whose content is too much.
pub(super) fn unpacks_to_too_much(limits: &Limits) -> Refusal {
    Refusal::invalid(format!(
        "The pages and fonts of the PDF unpack to more than {} bytes, which is the limit. Split it into smaller files.",
        limits.unpacked_bytes
    ))
}

/// How far a code moves the pen.
fn advance(font: &Font<'_>, code: u32, length: usize, state: &State<'_>) -> Vec2 {
    let advance = font.code_advance(code);
    let word_space = if code == 32 && length == 1 {
        state.word_space
    } else {
        0.0
    };
    let along = |units: f64| {
        units / f64::from(UNITS_PER_EM) * state.size + state.character_space + word_space
    };
    if font.is_horizontal() {
        Vec2::new(along(advance.x) * state.scale, 0.0)
    } else {
        Vec2::new(0.0, along(advance.y))
    }
}

fn matrix(numbers: [&Number; 6]) -> Affine {
    Affine::new(numbers.map(Number::as_f64))
}

/// Whether a character means something in one font only.
fn is_private(char: char) -> bool {
    matches!(char, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..)
}

/// The text that a marked part brings for its glyphs: UTF-16 with a mark, UTF-8 with one, or Latin 1.
fn actual_text(properties: &Dict<'_>) -> Option<Arc<str>> {
    let text = properties.get::<hayro_syntax::object::String<'_>>("ActualText")?;
    let bytes = text.as_bytes();
    if bytes.starts_with(&[0xFE, 0xFF]) || bytes.starts_with(&[0xEF, 0xBB, 0xBF]) {
        return crate::encoding::decode(bytes).ok().map(Arc::from);
    }
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    (!text.chars().any(char::is_control)).then(|| Arc::from(text))
}
