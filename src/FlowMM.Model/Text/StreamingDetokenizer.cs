using System.Text;

namespace FlowMM.Model;

/// <summary>Turns ids into text as they come, never with half of a character: bytes that may still become one wait.</summary>
/// <param name="tokenizer">The model's tokenizer.</param>
public sealed class StreamingDetokenizer(TextTokenizer tokenizer)
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();

    /// <summary>Takes the next id.</summary>
    /// <param name="id">The id.</param>
    /// <returns>The characters that are complete now; often empty.</returns>
    public string Append(int id) => Read(tokenizer.BytesOf(id), flush: false);

    /// <summary>What is left when no more ids come; an unfinished character becomes U+FFFD.</summary>
    public string Flush() => Read([], flush: true);

    private string Read(ReadOnlySpan<byte> bytes, bool flush)
    {
        char[] chars = new char[_decoder.GetCharCount(bytes, flush)];
        int count = _decoder.GetChars(bytes, chars, flush);
        return new string(chars, 0, count);
    }
}
