using System.Text;

namespace FlowMM.Model;

/// <summary>
/// Turns ids into text as they come, never with half of a character: text that ends in bytes which may still become one waits.
/// What waits is its whole state.
/// </summary>
/// <param name="tokenizer">The model's tokenizer.</param>
public sealed class StreamingDetokenizer(TextTokenizer tokenizer)
{
    /// <summary>Bytes that may wait: a model that writes no valid text at all is shown as U+FFFD after these.</summary>
    private const int MostHeld = 256;

    private byte[] _held = [];

    /// <summary>A detokenizer that goes on where another stopped.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="state">What <see cref="Export"/> gave.</param>
    public StreamingDetokenizer(TextTokenizer tokenizer, ReadOnlySpan<byte> state)
        : this(tokenizer) => _held = state.ToArray();

    /// <summary>The bytes that wait, at most a few hundred, usually none.</summary>
    public byte[] Export() => [.. _held];

    /// <summary>Takes the next id.</summary>
    /// <param name="id">The id.</param>
    /// <returns>The characters that are complete now; often empty.</returns>
    public string Append(int id)
    {
        ReadOnlySpan<byte> added = tokenizer.BytesOf(id);
        if (added.IsEmpty)
        {
            return "";
        }

        byte[] bytes = [.. _held, .. added];
        string text = Encoding.UTF8.GetString(bytes);
        bool waits = text[^1] == Rune.ReplacementChar.Value && bytes.Length <= MostHeld;
        _held = waits ? bytes : [];
        return waits ? "" : text;
    }

    /// <summary>What is left when no more ids come; an unfinished character becomes U+FFFD.</summary>
    public string Flush()
    {
        string rest = Encoding.UTF8.GetString(_held);
        _held = [];
        return rest;
    }
}
