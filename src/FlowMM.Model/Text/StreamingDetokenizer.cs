using FlowMM.Model.Text;

namespace FlowMM.Model;

/// <summary>
/// Turns ids into text as they come, never with half of a character: text that ends in bytes which may still become one waits.
/// What waits is, with what is still to be cut from the beginning, its whole state.
/// </summary>
public sealed class StreamingDetokenizer
{
    /// <summary>Bytes that may wait: a model that writes no valid text at all is shown as U+FFFD after these.</summary>
    private const int MostHeld = 256;

    private readonly TextTokenizer _tokenizer;
    private byte[] _held = [];
    private bool _fallback;
    private int _strip;

    /// <summary>A detokenizer at the beginning of a text.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    public StreamingDetokenizer(TextTokenizer tokenizer) => (_tokenizer, _strip) = (tokenizer, tokenizer.Decoder.Strip);

    /// <summary>A detokenizer that goes on where another stopped.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="state">What <see cref="Export"/> gave; empty for the beginning of a text.</param>
    public StreamingDetokenizer(TextTokenizer tokenizer, ReadOnlySpan<byte> state)
        : this(tokenizer)
    {
        if (!state.IsEmpty)
        {
            (_strip, _fallback, _held) = (state[0], state[1] != 0, state[2..].ToArray());
        }
    }

    /// <summary>The state: two bytes and those that wait, at most a few hundred, usually none.</summary>
    public byte[] Export() => [(byte)_strip, _fallback ? (byte)1 : (byte)0, .. _held];

    /// <summary>Takes the next id.</summary>
    /// <param name="id">The id.</param>
    /// <returns>The characters that are complete now; often empty.</returns>
    public string Append(int id)
    {
        ReadOnlySpan<byte> added = _tokenizer.BytesOf(id);
        added = added[TokenDecoder.Cut(added, ref _strip)..];
        if (added.IsEmpty)
        {
            return "";
        }

        string before = "";
        if (_tokenizer.Decoder.IsByte(id) != _fallback)
        {
            before = Flush();
            _fallback = !_fallback;
        }

        byte[] bytes = [.. _held, .. added];
        string text = TokenDecoder.Text(bytes, _fallback);
        bool waits = text[^1] == '\uFFFD' && bytes.Length <= MostHeld;
        _held = waits ? bytes : [];
        return waits ? before : before + text;
    }

    /// <summary>What is left when no more ids come; an unfinished character becomes U+FFFD.</summary>
    public string Flush()
    {
        string rest = TokenDecoder.Text(_held, _fallback);
        _held = [];
        return rest;
    }
}
