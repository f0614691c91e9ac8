using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using FlowMM.Model.Configuration;
using FlowMM.Model.Text;
using Microsoft.ML.Tokenizers;

namespace FlowMM.Model;

/// <summary>
/// tokenizer.json as byte-level BPE. Added tokens are matched in the raw text first, longest first; the rest is normalised, cut and merged.
/// Safe to use from several threads.
/// </summary>
public sealed class TextTokenizer
{
    private const int MostPieces = 1 << 16;
    private const int LongestPiece = 64;

    private readonly BpeTokenizer _bpe;
    private readonly Regex? _added;
    private readonly Dictionary<string, int> _addedIds;
    private readonly HashSet<int> _special;
    private readonly byte[]?[] _bytes;
    private readonly IReadOnlyList<int> _prefix;
    private readonly bool _compose;
    private readonly PieceSplitter _splitter;
    private readonly IReadOnlyDictionary<string, int>? _whole;
    private readonly ConcurrentDictionary<string, int[]> _pieces = new(StringComparer.Ordinal);

    private TextTokenizer(TokenizerFile file)
    {
        _addedIds = file.Added.ToDictionary(a => a.Content, a => a.Id);
        _special = [.. file.Added.Where(a => a.Special).Select(a => a.Id)];
        (_compose, _prefix) = (file.Compose, file.Prefix);
        string[] longest = [.. _addedIds.Keys.OrderByDescending(k => k.Length).Select(Regex.Escape)];
        _added = longest.Length == 0 ? null : new Regex($"({string.Join('|', longest)})", RegexOptions.CultureInvariant);
        _bytes = new byte[]?[1 + Math.Max(file.Vocabulary.Values.Max(), _addedIds.Values.DefaultIfEmpty(0).Max())];
        foreach ((string token, int id) in file.Vocabulary)
        {
            _bytes[id] = ByteAlphabet.Decode(token);
        }

        foreach ((string token, int id) in _addedIds)
        {
            _bytes[id] = Encoding.UTF8.GetBytes(token);
        }

        _splitter = new PieceSplitter(file.Stages);
        _whole = file.IgnoreMerges ? file.Vocabulary : null;
        _bpe = BpeTokenizer.Create(new BpeOptions(file.Vocabulary) { Merges = file.Merges, ByteLevel = true });
    }

    /// <summary>Reads a checkpoint's tokenizer.json.</summary>
    /// <param name="directory">The checkpoint's folder.</param>
    /// <exception cref="CheckpointException">The file is missing, damaged or of a kind that is not supported.</exception>
    public static TextTokenizer Load(string directory)
    {
        string path = Path.Combine(directory, "tokenizer.json");
        using JsonDocument json = JsonFile.Read(path);
        try
        {
            return new TextTokenizer(TokenizerFile.Parse(path, json.RootElement));
        }
        catch (Exception error) when (error is InvalidOperationException or KeyNotFoundException or FormatException or ArgumentException or InvalidDataException)
        {
            throw new CheckpointException(path, "the tokenizer cannot be read: " + error.Message, error);
        }
    }

    /// <summary>Ids of a text; nothing is put before or after it.</summary>
    /// <param name="text">The text, for instance a rendered chat template.</param>
    /// <param name="parseSpecial">True where the spelling of an added token stands for that token; false for text that must stay text.</param>
    public int[] Encode(string text, bool parseSpecial)
    {
        List<int> ids = [];
        int done = 0;
        foreach (Match match in parseSpecial && _added is not null ? _added.Matches(text) : Enumerable.Empty<Match>())
        {
            EncodePlain(text[done..match.Index], ids);
            ids.Add(_addedIds[match.Value]);
            done = match.Index + match.Length;
        }

        EncodePlain(text[done..], ids);
        return [.. ids];
    }

    /// <summary>The text of ids; special tokens are left out.</summary>
    /// <param name="ids">The ids.</param>
    public string Decode(IEnumerable<int> ids) => Encoding.UTF8.GetString([.. ids.SelectMany(id => BytesOf(id).ToArray())]);

    /// <summary>True when the text holds a special token's spelling, which user text must not.</summary>
    /// <param name="text">User text.</param>
    public bool ContainsSpecial(string text) =>
        _added is not null && _added.Matches(text).Any(m => _special.Contains(_addedIds[m.Value]));

    /// <summary>The spelling of an id, special ones included; empty when there is none.</summary>
    /// <param name="id">The id.</param>
    public string Spelling(int id) => id >= 0 && id < _bytes.Length && _bytes[id] is byte[] bytes ? Encoding.UTF8.GetString(bytes) : "";

    /// <summary>The id of an added token, or null.</summary>
    /// <param name="token">Its spelling.</param>
    public int? FindAdded(string token) => _addedIds.TryGetValue(token, out int id) ? id : null;

    /// <summary>Ids that the post-processor puts in front of a text.</summary>
    internal IReadOnlyList<int> Prefix => _prefix;

    /// <summary>UTF-8 bytes that an id adds to a text; none for special tokens and unknown ids.</summary>
    internal ReadOnlySpan<byte> BytesOf(int id) => id >= 0 && id < _bytes.Length && !_special.Contains(id) ? _bytes[id] : [];

    private void EncodePlain(string text, List<int> ids)
    {
        if (text.Length > 0)
        {
            foreach (string piece in _splitter.Split(_compose ? Composed(text) : text))
            {
                ids.AddRange(PieceIds(piece));
            }
        }
    }

    /// <summary>A lone surrogate has no normal form and no UTF-8: it becomes U+FFFD, as it does in bytes.</summary>
    private static string Composed(string text) =>
        string.Concat(text.EnumerateRunes().Select(r => r.ToString())).Normalize(NormalizationForm.FormC);

    private int[] PieceIds(string piece)
    {
        if (_pieces.TryGetValue(piece, out int[]? known))
        {
            return known;
        }

        int[] ids = _whole is not null && _whole.TryGetValue(ByteAlphabet.Encode(piece), out int id)
            ? [id]
            : [.. _bpe.EncodeToIds(piece, considerPreTokenization: false, considerNormalization: false)];
        if (piece.Length <= LongestPiece && _pieces.Count < MostPieces)
        {
            _pieces[piece] = ids;
        }

        return ids;
    }
}
