"""GLSL of the renderer. The albedo function serves pictures and colour samples alike."""

# Colour of a surface from its texture and material; see `materials.Material`.
ALBEDO = """
uniform sampler2D image;
uniform mat3 hue_turn;
uniform vec3 gain;
uniform float dye;
uniform float mean_luminance;
uniform float fold_strength;
uniform vec3 color_a;
uniform vec3 color_b;
uniform int pattern;
uniform float period;

float hash(vec3 p) {
    p = fract(p * 0.3183099 + vec3(0.71, 0.113, 0.419));
    p *= 17.0;
    return fract(p.x * p.y * p.z * (p.x + p.y + p.z));
}

float noise(vec3 p) {
    vec3 cell = floor(p), f = fract(p);
    f = f * f * (3.0 - 2.0 * f);
    return mix(
        mix(mix(hash(cell), hash(cell + vec3(1, 0, 0)), f.x),
            mix(hash(cell + vec3(0, 1, 0)), hash(cell + vec3(1, 1, 0)), f.x), f.y),
        mix(mix(hash(cell + vec3(0, 0, 1)), hash(cell + vec3(1, 0, 1)), f.x),
            mix(hash(cell + vec3(0, 1, 1)), hash(cell + vec3(1, 1, 1)), f.x), f.y), f.z);
}

// 0 or 1 in turns of half a period, with edges as soft as a pixel is wide.
float band(float phase) {
    float soft = clamp(fwidth(phase), 0.01, 0.5);
    float d = abs(fract(phase) - 0.5) - 0.25;
    return smoothstep(-soft, soft, d);
}

float pattern_mask(vec3 q) {
    vec3 p = q / period;
    if (pattern == 1) return band(p.y);
    if (pattern == 2) return band(p.x);
    if (pattern == 3) return 0.5 * (band(p.x) + band(p.y));
    if (pattern == 4) {
        vec2 cell = fract(vec2(p.x + 0.5 * mod(floor(p.y), 2.0), p.y)) - 0.5;
        return 1.0 - smoothstep(0.2, 0.3, length(cell));
    }
    if (pattern == 5) return smoothstep(0.45, 0.55, 0.65 * noise(p * 1.3) + 0.35 * noise(p * 3.1));
    if (pattern == 6) return band(p.y / 6.0);
    return 0.0;
}

vec4 albedo(vec2 uv, vec3 q) {
    vec4 texel = texture(image, uv);
    vec3 own = clamp(hue_turn * texel.rgb, 0.0, 1.0) * gain;
    float luminance = dot(texel.rgb, vec3(0.2126, 0.7152, 0.0722));
    float fold = clamp(pow((luminance + 0.02) / (mean_luminance + 0.02), fold_strength), 0.3, 1.8);
    vec3 dyed = mix(color_a, color_b, pattern_mask(q)) * fold;
    return vec4(clamp(mix(own, dyed, dye), 0.0, 1.0), texel.a);
}
"""

PICTURE_VERTEX = """
#version 400
uniform mat4 clip_from_world;
in vec3 position;
in vec3 normal;
in vec2 uv;
in vec3 pattern_point;
out vec3 v_normal;
out vec2 v_uv;
out vec3 v_pattern_point;
void main() {
    gl_Position = clip_from_world * vec4(position, 1.0);
    v_normal = normal;
    v_uv = uv;
    v_pattern_point = pattern_point;
}
"""

PICTURE_FRAGMENT = (
    "#version 400\n"
    + ALBEDO
    + """
uniform mat3 camera_from_world;
uniform vec3 sh[9];
uniform float alpha_min;
in vec3 v_normal;
in vec2 v_uv;
in vec3 v_pattern_point;
out vec4 color;
void main() {
    vec4 surface = albedo(v_uv, v_pattern_point);
    // Holes are cut a sample at a time: an edge of hair is as smooth as an edge of a mesh.
    float edge = (surface.a - alpha_min) / max(fwidth(surface.a), 0.05);
    float coverage = alpha_min > 0.0 ? clamp(edge + 0.5, 0.0, 1.0) : 1.0;
    int samples = int(coverage * 4.0 + 0.5);
    if (samples == 0) discard;
    gl_SampleMask[0] = (1 << samples) - 1;
    vec3 n = normalize(camera_from_world * v_normal);
    if (n.z < 0.0) n = -n;
    vec3 light = sh[0] * 0.282095
        + 0.488603 * (sh[1] * n.y + sh[2] * n.z + sh[3] * n.x)
        + 1.092548 * (sh[4] * n.x * n.y + sh[5] * n.y * n.z + sh[7] * n.x * n.z)
        + sh[6] * 0.315392 * (3.0 * n.z * n.z - 1.0)
        + sh[8] * 0.546274 * (n.x * n.x - n.y * n.y);
    vec3 linear = pow(surface.rgb, vec3(2.2)) * max(light, 0.0);
    color = vec4(min(pow(linear, vec3(1.0 / 2.2)), 1.0), 1.0);
}
"""
)

POINTS_VERTEX = """
#version 400
uniform vec2 grid_size;
in float place;
in vec2 uv;
in vec3 pattern_point;
out vec2 v_uv;
out vec3 v_pattern_point;
void main() {
    vec2 cell = vec2(mod(place, grid_size.x), floor(place / grid_size.x));
    gl_Position = vec4((cell + 0.5) / grid_size * 2.0 - 1.0, 0.0, 1.0);
    gl_PointSize = 1.0;
    v_uv = uv;
    v_pattern_point = pattern_point;
}
"""

POINTS_FRAGMENT = (
    "#version 400\n"
    + ALBEDO
    + """
in vec2 v_uv;
in vec3 v_pattern_point;
out vec4 color;
void main() { color = albedo(v_uv, v_pattern_point); }
"""
)
