using System.Text.Json;

namespace FlowMM.Model.Text;

/// <summary>Texts of tokenizer.json that must be there.</summary>
internal static class JsonText
{
    /// <exception cref="FormatException">There is no such text.</exception>
    public static string Of(JsonElement step, string key) => step.GetProperty(key).GetString() ?? throw new FormatException($"key '{key}' is null.");

    /// <exception cref="FormatException">There is no such text, or it is empty.</exception>
    public static string Filled(JsonElement step, string key) => Of(step, key) is { Length: > 0 } text ? text : throw new FormatException($"key '{key}' is empty.");
}
