using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using FlowMM.Model.Configuration;
using FlowMM.Model.Text;

namespace FlowMM.Model;

/// <summary>
/// tokenizer.json with a BPE model, byte-level or with byte fallback. Added tokens are matched in the raw text first, longest first; the rest
/// is normalised, cut and merged. Safe to use from several threads.
/// </summary>
public sealed class TextTokenizer
{
    private const int MostPieces = 1 << 16;
    private const int LongestPiece = 64;

    private readonly TokenizerFile _file;
    private readonly AddedTokens _raw;
    private readonly AddedTokens _normalized;
    private readonly AddedTokens _all;
    private readonly HashSet<int> _special;
    private readonly ConcurrentDictionary<string, int[]> _pieces = new(StringComparer.Ordinal);

    private TextTokenizer(TokenizerFile file)
    {
        _file = file;
        _special = [.. file.Added.Where(a => a.Special).Select(a => a.Id)];
        _all = new AddedTokens(file.Added);
        _raw = new AddedTokens(file.Added.Where(a => !a.Normalized));
        _normalized = new AddedTokens(file.Added.Where(a => a.Normalized).Select(a => a with { Content = file.Normalizer.Apply(a.Content, continued: false) }));
    }

    /// <summary>Ids that the post-processor puts in front of a text.</summary>
    internal IReadOnlyList<int> Prefix => _file.Prefix;

    /// <summary>Ids that it puts behind a text.</summary>
    internal IReadOnlyList<int> Suffix => _file.Suffix;

    /// <summary>Ids to bytes.</summary>
    internal TokenDecoder Decoder => _file.Decoder;

    /// <summary>Reads a checkpoint's tokenizer.json.</summary>
    /// <param name="directory">The checkpoint's folder.</param>
    /// <exception cref="CheckpointException">The file is missing, damaged or of a kind that is not supported.</exception>
    public static TextTokenizer Load(string directory)
    {
        string path = Path.Combine(directory, "tokenizer.json");
        if (!File.Exists(path) && File.Exists(Path.Combine(directory, "tokenizer.model")))
        {
            throw new CheckpointException(path, "the file does not exist, and tokenizer.model alone is not read. Save the tokenizer in the fast form: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR).");
        }

        using JsonDocument json = JsonFile.Read(path);
        try
        {
            return new TextTokenizer(TokenizerFile.Parse(path, json.RootElement));
        }
        catch (Exception error) when (error is InvalidOperationException or KeyNotFoundException or FormatException or ArgumentException or InvalidDataException
            or IndexOutOfRangeException or RegexMatchTimeoutException)
        {
            throw new CheckpointException(path, "the tokenizer cannot be read: " + error.Message, error);
        }
    }

    /// <summary>Ids of a text; nothing is put before or after it.</summary>
    /// <param name="text">The text, for instance a rendered chat template.</param>
    /// <param name="parseSpecial">True where the spelling of an added token stands for that token; false for text that must stay text.</param>
    /// <param name="continued">True when the text goes on from another, so that nothing marks its beginning as a text's.</param>
    /// <exception cref="RegexMatchTimeoutException">One of the checkpoint's patterns takes longer than its bound.</exception>
    public int[] Encode(string text, bool parseSpecial, bool continued = false)
    {
        string whole = WellFormed(text);
        List<int> ids = [];
        PieceOrigin origin = continued ? PieceOrigin.Continued : PieceOrigin.Start;
        foreach ((string piece, AddedToken? token) in parseSpecial ? Cut(whole, _raw) : [(whole, null)])
        {
            if (token is not null)
            {
                ids.Add(token.Id);
            }
            else
            {
                AddNormalized(_file.Normalizer.Apply(piece, origin == PieceOrigin.Continued), parseSpecial, origin, ids);
            }

            origin = PieceOrigin.Inside;
        }

        return [.. ids];
    }

    /// <summary>The text of ids.</summary>
    /// <param name="ids">The ids.</param>
    /// <param name="special">True to show special tokens, which are left out otherwise.</param>
    public string Decode(IEnumerable<int> ids, bool special = false) => _file.Decoder.Decode(ids.Where(id => special || !_special.Contains(id)));

    /// <summary>True when the text holds a special token's spelling, which user text must not.</summary>
    /// <param name="text">User text.</param>
    public bool ContainsSpecial(string text) => _all.Find(text).Any(m => m.Token.Special);

    /// <summary>The spelling of an id, special ones included; empty when there is none.</summary>
    /// <param name="id">The id.</param>
    public string Spelling(int id) => Encoding.UTF8.GetString(_file.Decoder.Bytes(id));

    /// <summary>The id of an added token, or null.</summary>
    /// <param name="token">Its spelling.</param>
    public int? FindAdded(string token) => _file.Added.FirstOrDefault(a => a.Content == token)?.Id;

    /// <summary>UTF-8 bytes that an id adds to a text; none for special tokens and unknown ids.</summary>
    internal ReadOnlySpan<byte> BytesOf(int id) => _special.Contains(id) ? [] : _file.Decoder.Bytes(id);

    private static IEnumerable<(string Text, AddedToken? Token)> Cut(string text, AddedTokens tokens)
    {
        int done = 0;
        foreach ((int start, int end, AddedToken token) in tokens.Find(text))
        {
            if (start > done)
            {
                yield return (text[done..start], null);
            }

            yield return (text[start..end], token);
            done = end;
        }

        if (done < text.Length)
        {
            yield return (text[done..], null);
        }
    }

    /// <summary>A lone surrogate has no normal form and no UTF-8: it becomes U+FFFD, as it does in bytes.</summary>
    private static string WellFormed(string text) =>
        text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF') ? string.Concat(text.EnumerateRunes().Select(r => r.ToString())) : text;

    private void AddNormalized(string text, bool parseSpecial, PieceOrigin origin, List<int> ids)
    {
        foreach ((string piece, AddedToken? token) in parseSpecial ? Cut(text, _normalized) : text.Length > 0 ? [(text, null)] : [])
        {
            if (token is not null)
            {
                ids.Add(token.Id);
            }
            else
            {
                foreach (string part in _file.PreTokenizer.Cut(piece, origin))
                {
                    ids.AddRange(PieceIds(part));
                }
            }

            origin = PieceOrigin.Inside;
        }
    }

    private int[] PieceIds(string piece)
    {
        if (_pieces.TryGetValue(piece, out int[]? known))
        {
            return known;
        }

        int[] ids = _file.Pairs.Encode(piece);
        if (piece.Length <= LongestPiece && _pieces.Count < MostPieces)
        {
            _pieces[piece] = ids;
        }

        return ids;
    }
}
