using System.Globalization;
using System.Text;
using System.Text.Json;

namespace FlowMM.Model.Text;

/// <summary>A step of tokenizer.json's normalizer.</summary>
/// <param name="Apply">What it does to a piece of text.</param>
/// <param name="Opens">True when it marks a text's beginning, which a text that goes on from another does not have.</param>
internal sealed record NormalizerStep(Func<string, string> Apply, bool Opens = false);

/// <summary>The normalizer of tokenizer.json as a list of steps.</summary>
internal sealed class Normalizer(IReadOnlyList<NormalizerStep> steps)
{
    /// <summary>Bound on text that steps make longer.</summary>
    private const int MostGrowth = 64;

    /// <exception cref="CheckpointException">A step is not supported.</exception>
    public static Normalizer Read(string path, JsonElement? json) => new(json is null ? [] : [.. Steps(path, json.Value)]);

    /// <summary>The normalised text.</summary>
    /// <param name="text">Without lone surrogates.</param>
    /// <param name="continued">True when the text goes on from another.</param>
    public string Apply(string text, bool continued)
    {
        if (text.Length == 0)
        {
            return text;
        }

        string result = text;
        foreach (NormalizerStep step in steps.Where(s => !continued || !s.Opens))
        {
            result = step.Apply(result);
            if (result.Length > (long)MostGrowth * (text.Length + MostGrowth))
            {
                throw new ArgumentException("The tokenizer's normalizer makes text longer without end.");
            }
        }

        return result;
    }

    private static IEnumerable<NormalizerStep> Steps(string path, JsonElement step)
    {
        string type = step.GetProperty("type").GetString() ?? "";
        switch (type)
        {
            case "Sequence":
                return step.GetProperty("normalizers").EnumerateArray().SelectMany(s => Steps(path, s));
            case "NFC" or "NFD" or "NFKC" or "NFKD":
                NormalizationForm form = Form(type);
                return [new(s => s.Normalize(form))];
            case "Lowercase":
                return [new(s => s.ToLowerInvariant())];
            case "Prepend":
                string mark = JsonText.Of(step, "prepend");
                return [new(s => s.Length == 0 ? s : mark + s, Opens: true)];
            case "Replace":
                string content = JsonText.Of(step, "content");
                JsonElement pattern = step.GetProperty("pattern");
                if (pattern.TryGetProperty("Regex", out _))
                {
                    return [new(new PatternReplace(SplitPattern.Compile(path, JsonText.Of(pattern, "Regex")), content).Apply)];
                }

                string old = JsonText.Filled(pattern, "String");
                return [new(s => s.Replace(old, content, StringComparison.Ordinal))];
            case "Strip":
                bool left = Flag(step, "strip_left"), right = Flag(step, "strip_right");
                return [new(s => left && right ? s.Trim() : left ? s.TrimStart() : right ? s.TrimEnd() : s)];
            case "StripAccents":
                return [new(s => string.Concat(s.Where(c => CharUnicodeInfo.GetUnicodeCategory(c) is not UnicodeCategory.NonSpacingMark)))];
            default:
                throw new CheckpointException(path, $"the normalizer '{type}' is not supported.");
        }
    }

    private static NormalizationForm Form(string type) => type switch
    {
        "NFC" => NormalizationForm.FormC,
        "NFD" => NormalizationForm.FormD,
        "NFKC" => NormalizationForm.FormKC,
        _ => NormalizationForm.FormKD,
    };

    private static bool Flag(JsonElement step, string key) => step.TryGetProperty(key, out JsonElement flag) && flag.ValueKind == JsonValueKind.True;
}
